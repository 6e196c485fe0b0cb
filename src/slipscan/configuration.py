"""Where settings come from: a configuration file, and `key=value` options of the command line over it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from slipscan.errors import SlipscanError
from slipscan.models import Model, validate
from slipscan.settings import Settings, iso_date
from slipscan.texts import read_yaml


def read_settings(path: Path | None) -> Settings:
    """Read a YAML configuration file; None gives the defaults."""
    if path is None:
        return Settings()
    config = read_yaml(path, "configuration file")
    return validate(Settings, {} if config is None else config, str(path))


def chosen_cache(cache: Path | None, config: Path | None) -> Path | None:
    """The cache of an option, or of a configuration; none of both: none is used."""
    return cache if cache or not config else Path(read_settings(config).cache_dir)


def chosen_vintage(until: str | None, config: Path | None) -> str | None:
    """The last day that enters a calibration: of an option, or of the configuration.

    Raises
    ------
    SlipscanError
        the option is no date
    """
    return iso_date(until, "--until") if until is not None else read_settings(config).calibration_as_of


def stage_settings(model: type[Model], config: Path | None, options: Sequence[str] | None) -> Model:
    """A stage's settings: its section of a configuration file (None: the defaults), and the options over it."""
    section = next(value for _, value in read_settings(config) if isinstance(value, model))
    return from_options(model, options or [], section.model_dump())


def from_options(model: type[Model], options: Sequence[str], below: dict[str, Any] | None = None) -> Model:
    """A stage's settings from `key=value` options, values in JSON (or plain strings), over those of `below`.

    Raises
    ------
    SlipscanError
        an option without '=', an unknown key, a key that is set twice, a value out of range
    """
    values: dict[str, Any] = {}
    for option in options:
        key, separator, text = option.partition("=")
        *parents, leaf = key.strip().split(".")
        if not separator or not all((*parents, leaf)):
            raise SlipscanError(f"--set {option}: write key=value")
        target = values
        for parent in parents:
            target = target.setdefault(parent, {})
            if not isinstance(target, dict):
                break
        if not isinstance(target, dict) or leaf in target:
            raise SlipscanError(f"--set {option}: this key, or the section that it is in, is set twice: keep one")
        target[leaf] = _value(text)
    return validate(model, _over(below or {}, values), "--set")


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _over(below: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """The values of `below`, save where `values` has others; sections are joined key by key."""
    merged = dict(below)
    for key, value in values.items():
        section = merged.get(key)
        merged[key] = _over(section, value) if isinstance(section, dict) and isinstance(value, dict) else value
    return merged


def to_options(settings: BaseModel, prefix: str = "") -> list[str]:
    """The `key=value` options that rebuild `settings`: what differs from the defaults."""
    options = []
    default = type(settings)()
    for key in type(settings).model_fields:
        value = getattr(settings, key)
        if isinstance(value, BaseModel):
            options += to_options(value, f"{prefix}{key}.")
        elif value != getattr(default, key):
            options.append(f"{prefix}{key}={json.dumps(value)}")
    return options
