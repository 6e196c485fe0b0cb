"""Which code a stage depends on, as one digest: what makes Snakemake run a stage again after an edit.

Snakemake does not see edits of imported modules. Every rule therefore carries, in its params, the digest
of the modules that its stage imports (transitively, slipscan's own) with docstrings and comments left out,
and of the versions of torch, numpy and scipy.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib.metadata
import json
from pathlib import Path

from slipscan.errors import SlipscanError
from slipscan.settings import DenoiseSettings

PACKAGE = Path(__file__).parent

STAGES = {
    "manifest": "slipscan.archive.stage",
    "archive": "slipscan.archive.stage",
    "timeseries": "slipscan.timeseries.stage",
    "noise": "slipscan.noise.stage",
    "denoise": "slipscan.denoise.stage",
    "calibrate": "slipscan.detect.calibrate",
    "detect": "slipscan.detect.stage",
    "source": "slipscan.source.stage",
    "gnss": "slipscan.gnss.stage",
    "increment": "slipscan.catalogue.stage",
    "catalogue": "slipscan.catalogue.stage",
    "report": "slipscan.report.stage",
    "train": "slipscan.denoise.train",
}
"""The module behind every rule."""

NO_ARITHMETIC = {"slipscan.settings", "slipscan.progress", "slipscan.errors"}
"""Left out: settings enter the params by value, the others change no result."""

NUMERIC_LIBRARIES = ("numpy", "scipy", "torch")

VERSIONS = PACKAGE / "stage_versions.json"
"""Per stage: its stated version, and the digest of the code that the version stands for."""


def code_identity(stage: str, mode: str) -> str:
    """What a rule's params carry: 'digest:...' of the code, or 'version:...' as stated (`rerun.code`)."""
    if mode == "version":
        return f"version:{recorded(stage)['version']}"
    versions = ",".join(f"{name}={importlib.metadata.version(name)}" for name in NUMERIC_LIBRARIES)
    return f"digest:{hashlib.sha256((code_digest(stage) + versions).encode()).hexdigest()[:16]}"


def weights_identity(settings: DenoiseSettings) -> str:
    """SHA-256 of the weights that the denoiser will use and of their card; empty for the classical method."""
    if settings.method == "classical":
        return ""
    path = Path(settings.weights)
    if path.suffix != ".safetensors":
        path = PACKAGE / "denoise" / "weights" / f"{settings.weights}.safetensors"
    files = (path, path.with_suffix(".json"))
    if not all(file.is_file() for file in files):
        return "missing"
    return hashlib.sha256(b"".join(hashlib.sha256(file.read_bytes()).digest() for file in files)).hexdigest()


def recorded(stage: str) -> dict[str, str | int]:
    """The recorded version and digest of a stage; raises SlipscanError where there is none."""
    table: dict[str, dict[str, str | int]] = json.loads(VERSIONS.read_text(encoding="utf-8"))
    if stage not in table:
        raise SlipscanError(f"{VERSIONS.name} has no stage {stage!r}: run slipscan docs --bump {stage}")
    return table[stage]


def code_digest(stage: str) -> str:
    """SHA-256 over the names and syntax trees of the modules that a stage imports, and over its weights' names."""
    return modules_digest(imported_modules(STAGES[stage]))


def modules_digest(names: set[str]) -> str:
    """SHA-256 over the names and syntax trees of modules."""
    digest = hashlib.sha256()
    for name in sorted(names):
        digest.update(name.encode())
        digest.update(_syntax(_file(name)).encode())
    return digest.hexdigest()


def imported_modules(root: str) -> set[str]:
    """The slipscan modules that a module imports, itself among them, transitively and also inside functions."""
    seen: set[str] = set()
    waiting = [root]
    while waiting:
        name = waiting.pop()
        if name in seen or name in NO_ARITHMETIC or _file(name) is None:
            continue
        seen.add(name)
        waiting += _imports(name)
    return seen


def _file(name: str) -> Path | None:
    """The file of a slipscan module, None where there is no such module (say a function imported by name)."""
    parts = name.split(".")[1:]
    path = PACKAGE.joinpath(*parts)
    if path.with_suffix(".py").is_file() and parts:
        return path.with_suffix(".py")
    return path / "__init__.py" if (path / "__init__.py").is_file() else None


@functools.cache
def _imports(name: str) -> tuple[str, ...]:
    """The names under slipscan that a module imports."""
    file = _file(name)
    if file is None:
        return ()
    found = []
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return tuple(module for module in found if module == "slipscan" or module.startswith("slipscan."))


@functools.cache
def _syntax(file: Path | None) -> str:
    """The syntax tree of a module without docstrings (the parser drops comments)."""
    if file is None:
        return ""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            kept = [statement for statement in body if not _is_bare_string(statement)]
            node.body = kept or [ast.Pass()]  # type: ignore[attr-defined]
    return ast.dump(tree)


def _is_bare_string(statement: ast.stmt) -> bool:
    """Whether a statement is a docstring of a module, class, function or constant."""
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )


def table(previous: dict[str, dict[str, str | int]], bump: list[str]) -> dict[str, dict[str, str | int]]:
    """The version table as the code stands: versions kept, those in `bump` raised by one."""
    return {
        stage: {
            "version": int(previous.get(stage, {}).get("version", 1)) + (stage in bump),
            "digest": code_digest(stage)[:16],
        }
        for stage in STAGES
    }
