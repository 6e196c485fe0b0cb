"""What makes Snakemake run a stage again after a change of code: the stated version of the stage.

Snakemake does not see edits of imported modules. Every rule therefore carries, in its params, the `VERSION` of the
package behind it, an integer that is raised when its results change (tests/test_versions.py fails where they change and
it was not), and the versions of the libraries that do the arithmetic. An edit of a text reruns nothing.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.metadata
import json
from pathlib import Path
from typing import Final

from slipscan.settings import DenoiseSettings

STAGES: Final[dict[str, str]] = {
    "manifest": "archive",
    "archive": "archive",
    "timeseries": "timeseries",
    "noise": "noise",
    "denoise": "denoise",
    "calibrate": "detect",
    "detect": "detect",
    "source": "source",
    "completeness": "completeness",
    "gnss": "gnss",
    "increment": "catalogue",
    "catalogue": "catalogue",
    "report": "report",
    "train": "denoise",
}
"""The package behind every rule."""

NUMERIC_LIBRARIES: Final = ("numpy", "scipy", "torch")

WEIGHTS: Final = Path(__file__).parent / "denoise" / "weights"


def version_of(stage: str) -> int:
    """The stated version of a stage."""
    return int(importlib.import_module(f"slipscan.{STAGES[stage]}").VERSION)


def code_identity(stage: str) -> str:
    """What a rule's params carry: the stage's version, and those of the numeric libraries."""
    libraries = (f"{name} {importlib.metadata.version(name).partition('+')[0]}" for name in NUMERIC_LIBRARIES)
    return ", ".join([f"{STAGES[stage]} {version_of(stage)}", *libraries])


def weights_identity(settings: DenoiseSettings) -> str:
    """SHA-256 of the weights that the denoiser will use and of their card; empty for a method that has none."""
    named = settings.weights or ""
    path = Path(named) if named.endswith(".safetensors") else _shipped(settings)
    if path is None:
        return ""
    files = (path, path.with_suffix(".json"))
    if not all(file.is_file() for file in files):
        return "missing"
    return hashlib.sha256(b"".join(hashlib.sha256(file.read_bytes()).digest() for file in files)).hexdigest()


def _shipped(settings: DenoiseSettings) -> Path | None:
    """The shipped weights of a method, by name or its only ones, without importing it."""
    if settings.weights:
        return WEIGHTS / f"{settings.weights}.safetensors"
    for card in sorted(WEIGHTS.glob("*.json")):
        if json.loads(card.read_text(encoding="utf-8"))["architecture"]["method"] == settings.method:
            return card.with_suffix(".safetensors")
    return None
