"""Texts that a user gives (GeoJSON, YAML, JSON, CSV) are opened here alone, with one sentence for each failure."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from slipscan.errors import SlipscanError


def read_text(path: Path, what: str, remedy: str = "check the path") -> str:
    """Read a text in UTF-8, with or without a byte order mark.

    Parameters
    ----------
    path
        of the file
    what
        the kind of file, as a sentence names it: 'regions file'
    remedy
        what to do where there is no such file

    Raises
    ------
    SlipscanError
        no such file, a directory, no permission, or bytes that are no UTF-8 (the line is named)
    """
    try:
        content = Path(path).read_bytes()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise SlipscanError(f"there is no {what} {path}: {remedy}") from error
    except OSError as error:
        raise SlipscanError(f"the {what} {path} cannot be read: {error.strerror or error}") from error
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise SlipscanError(
            f"the {what} {path} is no UTF-8 text (byte 0x{content[error.start]:02x} in line {line}): save it as UTF-8"
        ) from error
    if "\0" in text:
        raise SlipscanError(f"the {what} {path} is no text but binary, or UTF-16: save it as UTF-8")
    return text


def read_json(path: Path, what: str, remedy: str = "check the path") -> Any:
    """Read JSON; raises SlipscanError, also for what `read_text` refuses and for a key that stands twice."""
    text = read_text(path, what, remedy)
    try:
        return json.loads(text, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise SlipscanError(f"the {what} {path} is no JSON ({error})") from error


def read_yaml(path: Path, what: str, remedy: str = "check the path") -> Any:
    """Read YAML; raises SlipscanError, also for what `read_text` refuses and for a key that stands twice."""
    text = read_text(path, what, remedy)
    try:
        return yaml.load(text, _Loader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: a date such as 2018-06-31
        raise SlipscanError(f"the {what} {path} is no YAML ({' '.join(str(error).split())})") from error


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON, whose second value of a key would hide the first."""
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in found if keys.count(key) > 1)
        raise ValueError(f"the key {twice!r} stands twice in one object")
    return found


class _Loader(yaml.SafeLoader):
    """YAML's safe types; a key that stands twice is refused, since the second would hide the first."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode) and key.value != "<<"]
        twice = next((key for key in keys if keys.count(key) > 1), None)
        if twice is not None:
            raise yaml.MarkedYAMLError(problem=f"the key '{twice}' stands twice", problem_mark=node.start_mark)
        return super().construct_mapping(node, deep)
