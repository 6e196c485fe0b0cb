"""What all models of the configuration and of the regions share: dates, and the one sentence for a wrong key."""

from __future__ import annotations

import datetime
import difflib
from collections.abc import Iterator
from typing import Annotated, Any, TypeVar, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from slipscan.errors import SlipscanError

SHOWN = 60
"""Characters of a wrong value that a sentence repeats."""
YEARS = (1990, 2100)
"""Years of a date: from radar satellites to what a time in nanoseconds can hold."""


class Frozen(BaseModel):
    """A model that cannot be changed and refuses unknown keys, empty texts, and numbers that are none or not finite."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, str_min_length=1)

    @field_validator("*", mode="before")
    @classmethod
    def _plain(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse what pydantic would take: `true` as the number 1, and texts that no path can hold."""
        parts = value if isinstance(value, list | tuple) else (value,)
        if any(isinstance(part, bool) for part in parts):
            field = cls.model_fields[info.field_name or ""]
            if not any(kind is bool for kind in _kinds(field.annotation)):
                raise ValueError(f"input should be no truth value (got {shown(value)})")
        if any(isinstance(part, str) and "\0" in part for part in parts):
            raise ValueError("the text holds a NUL character")
        return value


def _as_iso_date(value: Any) -> Any:
    """An unquoted YAML date arrives as datetime.date, which triggers nothing in Snakemake's params."""
    if isinstance(value, datetime.datetime):
        value = value.date()
    text = value.isoformat() if isinstance(value, datetime.date) else value
    if isinstance(text, str):
        # Dates are compared as texts: what else ISO 8601 allows (20200131) is brought to one form.
        try:
            date = datetime.date.fromisoformat(text)
        except ValueError as error:
            raise ValueError(f"{text[:20]!r} is no date: write it YYYY-MM-DD") from error
        if not YEARS[0] <= date.year < YEARS[1]:
            raise ValueError(f"the date {text} is not of the years {YEARS[0]} to {YEARS[1] - 1}")
        return date.isoformat()
    return text


def iso_date(text: str, option: str) -> str:
    """A date of the command line as YYYY-MM-DD; raises SlipscanError."""
    try:
        return str(_as_iso_date(text))
    except ValueError as error:
        raise SlipscanError(f"{option}: {error}") from error


IsoDate = Annotated[str, BeforeValidator(_as_iso_date), Field(json_schema_extra={"format": "date"})]

Model = TypeVar("Model", bound=BaseModel)


def validate(model: type[Model], config: Any, where: str) -> Model:
    """Validate `config`; raises SlipscanError with one sentence that names the key."""
    try:
        return model.model_validate(config)
    except ValidationError as error:
        raise SlipscanError(f"{where}: {one_sentence(error, model)}") from error


def one_sentence(error: ValidationError, model: type[BaseModel] | None = None) -> str:
    """The first problem of a pydantic error as 'key: what is wrong', with the number of others.

    An unknown key is answered with the nearest one of `model`.
    """
    problems = error.errors(include_url=False)
    first = problems[0]
    key = ".".join(str(part) for part in first["loc"]) or "the entry"
    reasons = {"extra_forbidden": "unknown key", "missing": "missing key"}
    reason = reasons.get(first["type"], first["msg"].removeprefix("Value error, "))
    if first["type"] not in reasons and first["type"] != "value_error":
        reason = f"{reason[0].lower()}{reason[1:]} (got {shown(first['input'])})"
    if first["type"] == "extra_forbidden" and model is not None:
        reason += _nearest([str(part) for part in first["loc"] if not isinstance(part, int)], model)
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return f"{key}: {reason}{more}"


def shown(value: Any) -> str:
    """A value as a sentence repeats it, not at full length."""
    text = repr(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


def _nearest(parts: list[str], model: type[BaseModel]) -> str:
    """'; did you mean ...?': a key of the same name elsewhere, or of a similar one."""
    known = list(_keys(model))
    same = [key for key in known if key.rpartition(".")[2] == parts[-1]]
    near = same or difflib.get_close_matches(".".join(parts), known, 1)
    return f"; did you mean {near[0]}?" if near else ""


def _keys(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Every key of a model, and of those in it, with dots."""
    for name, field in model.model_fields.items():
        yield f"{prefix}{name}"
        for kind in _kinds(field.annotation):
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                yield from _keys(kind, f"{prefix}{name}.")


def _kinds(annotation: Any) -> Iterator[Any]:
    """The types that an annotation is made of: those in a union, a tuple, an alternative."""
    arguments = get_args(annotation)
    if not arguments:
        yield annotation
    for argument in arguments:
        yield from _kinds(argument)
