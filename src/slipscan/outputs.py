"""What slipscan may replace: an output that exists is replaced only if it is what its own stage writes.

A `Kind` says what a stage writes and how a file of it is known; `check_outputs` is called by every stage before it
computes, and `atomic.written_beside` looks once more before it renames. Anything else is refused in a sentence.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from slipscan.errors import SlipscanError

SNAKEMAKE_TIMESTAMP = ".snakemake_timestamp"
"""What Snakemake puts into a directory that is a rule's output."""
_HEAD = 4096


@dataclass(frozen=True)
class Kind:
    """What a writer writes.

    Attributes
    ----------
    name
        for the sentence, as 'a calibration'
    why_not
        says why an existing file or directory is none of this kind that slipscan wrote; empty where it is one
    """

    name: str
    why_not: Callable[[Path], str]


NEW = Kind("a new file or directory", lambda path: "exists")
"""Replaces nothing."""
OWN = Kind("a file of slipscan", lambda path: "is a directory" if path.is_dir() else "")
"""A file in a directory of which slipscan alone gives the names (its cache); directories are not replaced."""


def file_kind(name: str, is_one: Callable[[Path], bool]) -> Kind:
    """A kind of files that `is_one` knows; it may raise OSError or ValueError where the file is something else."""

    def why_not(path: Path) -> str:
        if path.is_dir():
            return f"is a directory, not {name}"
        try:
            return "" if is_one(path) else f"is not {name} that slipscan wrote"
        except (OSError, ValueError) as error:
            return f"is not {name} that slipscan wrote ({' '.join(str(error).split())[:120]})"

    return Kind(name, why_not)


def text_kind(name: str, mark: str) -> Kind:
    """Text files that hold `mark` within their first 4096 bytes."""
    return file_kind(name, lambda path: mark.encode() in head(path))


def csv_kind(name: str, *columns: str, more: bool = False) -> Kind:
    """CSV files whose header names these columns; `more` may follow."""
    header = ",".join(columns)

    def is_one(path: Path) -> bool:
        first = head(path).decode(errors="replace").splitlines()[0]
        return first == header or (more and first.startswith(f"{header},"))

    return file_kind(name, is_one)


def json_kind(name: str, *keys: str) -> Kind:
    """JSON files of one object that has all these keys."""

    def is_one(path: Path) -> bool:
        content = json.loads(path.read_text(encoding="utf-8"))
        return isinstance(content, dict) and set(keys) <= set(content)

    return file_kind(name, is_one)


def parquet_kind(name: str, columns: Sequence[str], required: Sequence[str], metadata: bytes | None = None) -> Kind:
    """Parquet files of some of `columns` and no others, all of `required`, and a key of metadata."""

    def is_one(path: Path) -> bool:
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            schema = pq.read_schema(path)
        except pa.ArrowException as error:
            raise ValueError("no Parquet") from error
        known = metadata is None or metadata in (schema.metadata or {})
        return known and set(required) <= set(schema.names) <= set(columns)

    return file_kind(name, is_one)


def store_kind(*products: str) -> Kind:
    """Zarr stores of any of these products that hold nothing but what slipscan wrote."""
    name = f"a store of product {' or '.join(map(repr, products))}"

    def why_not(path: Path) -> str:
        try:
            root = json.loads((path / "zarr.json").read_text(encoding="utf-8"))
            attributes, arrays = root["attributes"], root["consolidated_metadata"]["metadata"]
            product = attributes["product"]
            known = "sign_convention" in attributes  # `vocabulary.annotate` writes both
        except (OSError, ValueError, KeyError, TypeError):
            return f"is not {name} that slipscan wrote"
        if not known or product not in products:
            return f"is a store of product {product!r}, not {name}"
        foreign = next(_foreign(path, list(arrays)), None)
        return "" if foreign is None else f"is {name}, but holds {foreign}, which slipscan did not write"

    return Kind(name, why_not)


LISTING = ".slipscan.json"
"""Names and SHA-256 of the files of a directory as slipscan wrote it."""


def write_listing(directory: Path) -> None:
    """List the files of a directory that slipscan has written, so that it is known again."""
    if listing := {file.name: sha256_file(file) for file in sorted(files_below(directory))}:
        (directory / LISTING).write_text(json.dumps(listing, indent=0) + "\n", encoding="utf-8")


def listed_kind(name: str, like: Path | None = None) -> Kind:
    """Directories that hold nothing but what their listing says; up to version 0.1, copies of what is in `like`."""

    def why_not(path: Path) -> str:
        try:
            listing = json.loads((path / LISTING).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            listing = {}
        for file in files_below(path):
            below = file.relative_to(path).as_posix()
            if below in (LISTING, SNAKEMAKE_TIMESTAMP) and not file.is_symlink():
                continue
            known = listing.get(below) if listing or like is None else _sha256_of(like / below)
            if file.is_symlink() or known != sha256_file(file):
                return f"is a directory that holds {below}, which slipscan did not write"
        return "" if path.is_dir() else f"is not {name}"

    return Kind(name, why_not)


def _sha256_of(path: Path) -> str | None:
    return sha256_file(path) if path.is_file() else None


def sha256_file(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _foreign(store: Path, arrays: Sequence[str]) -> Iterator[str]:
    """Files of a Zarr store, below it, that are neither metadata nor chunks of its arrays."""
    names = "|".join(map(re.escape, arrays))
    ours = re.compile(rf"zarr\.json|{re.escape(SNAKEMAKE_TIMESTAMP)}|(?:{names})/(?:zarr\.json|c(?:/\d+)*)")
    for file in files_below(store):
        if file.is_symlink() or not ours.fullmatch(file.relative_to(store).as_posix()):
            yield file.relative_to(store).as_posix()


def files_below(directory: Path) -> Iterator[Path]:
    """Everything below a directory that is no directory; links are not followed. Raises OSError where it is closed."""

    def fail(error: OSError) -> None:
        raise error

    for folder, directories, files in os.walk(directory, onerror=fail):
        for name in (*files, *(name for name in directories if Path(folder, name).is_symlink())):
            yield Path(folder, name)


def check_outputs(outputs: Sequence[tuple[Path, Kind]], inputs: Sequence[Path | str] = ()) -> None:
    """Refuse outputs of a command that would replace what slipscan did not write, or one another, or an input.

    Parameters
    ----------
    outputs
        path and kind of all that the command writes
    inputs
        all that it reads

    Raises
    ------
    SlipscanError
        an output that exists and is not of its kind; that is, or lies above, an input or another output; that lies in
        a Zarr store; a path that is none
    """
    found = [(Path(path), resolved(path)) for path, _ in outputs]
    for (path, kind), (_, real) in zip(outputs, found, strict=True):
        for given in inputs:
            if _lies_in(Path(os.path.realpath(given)), real):
                raise SlipscanError(
                    f"the output {path} is, or holds, the input {given}, which would be lost: give another path"
                )
        check_replaceable(real, kind, path)
    for number, (path, real) in enumerate(found):
        for other, other_real in found[:number]:
            if _lies_in(real, other_real) or _lies_in(other_real, real):
                raise SlipscanError(
                    f"the outputs {other} and {path} are, or hold, each other: give each a path of its own"
                )


def resolved(path: Path | str) -> Path:
    """Where an output really lies, links followed; raises SlipscanError for what is no path of an output."""
    name = Path(path).name
    if name in ("", ".."):
        raise SlipscanError(f"{str(path)!r} is no name for an output: give the path of the file or store to be written")
    real = Path(os.path.realpath(path))
    if real.is_symlink():
        raise SlipscanError(f"{path} is a link that leads back to itself: remove it, or give another path")
    for parent in real.parents:
        if os.path.lexists(parent) and not parent.is_dir():
            raise SlipscanError(f"{path} cannot be written, because {parent} is a file and no directory: correct it")
        if any((parent / mark).is_file() for mark in ("zarr.json", ".zgroup", ".zattrs")):
            raise SlipscanError(f"the output {path} lies in the Zarr store {parent}: give a path outside of it")
    return real


def check_replaceable(real: Path, kind: Kind, path: Path | None = None) -> None:
    """Raise SlipscanError where something exists at `real` that is not empty and not of a kind."""
    while (looked_at := _identity(real)) is not None:
        why = _why_not(real, kind)
        if not why:
            return
        if looked_at == _identity(real):  # not replaced by another writer while we looked
            raise SlipscanError(f"{path or real} {why}: it is left as it is; move it away, or give another path")


def _identity(path: Path) -> tuple[int, int] | None:
    """What tells a file from another at the same path; None where there is none."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def _why_not(path: Path, kind: Kind) -> str:
    """Why what exists may not be replaced; empty where it may: of the kind, a file of no bytes, an empty directory."""
    try:
        if path.is_dir():
            return "" if {file.name for file in path.iterdir()} <= {SNAKEMAKE_TIMESTAMP} else kind.why_not(path)
        if path.is_file():
            return "" if path.stat().st_size == 0 else kind.why_not(path)
    except OSError as error:
        return f"cannot be looked at ({error.strerror})"
    return "is no file"


def _lies_in(inner: Path, outer: Path) -> bool:
    """Whether a resolved path is another one, or lies below it."""
    return any(_same(part, outer) for part in (inner, *inner.parents))


def _same(one: Path, other: Path) -> bool:
    """Whether two paths are one file; of files that are not there yet, also where a disk ignores the case."""
    there = one.exists(), other.exists()
    if all(there):
        return one.samefile(other)
    return not any(there) and str(one).casefold() == str(other).casefold()


def head(path: Path) -> bytes:
    """The first bytes of a file."""
    with path.open("rb") as file:
        return file.read(_HEAD)
