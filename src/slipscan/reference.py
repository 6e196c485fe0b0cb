"""What is generated from the code: JSON Schemas, configuration, products, the catalogue's layers.

`slipscan docs` writes them; a test fails when they are out of step.
"""

from __future__ import annotations

import json
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from slipscan.atomic import write_text
from slipscan.catalogue import page as catalogue_page
from slipscan.errors import SlipscanError
from slipscan.outputs import check_outputs, file_kind, head
from slipscan.products import PRODUCTS, TOWARD
from slipscan.regions import SOURCES, Region, Track
from slipscan.settings import Settings

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_MARKS = (b"by `slipscan docs`; do not edit", f'{{\n  "$schema": "{DIALECT}"'.encode())
GENERATED = file_kind("a generated file", lambda path: any(mark in head(path) for mark in _MARKS))


def schema(model: type[BaseModel]) -> str:
    """A model's JSON Schema, with the dialect that editors look for."""
    return json.dumps({"$schema": DIALECT, **model.model_json_schema()}, indent=2) + "\n"


def generated() -> dict[str, str]:
    """Every generated file's text, by its path in the repository."""
    return {
        "workflow/schemas/config.schema.json": schema(Settings),
        "workflow/schemas/region.schema.json": schema(Region),
        "config/README.md": config_reference(),
        "docs/products.md": _products(),
        "docs/catalogue.md": catalogue_page.page(),
    }


def write_all(repository: Path) -> None:
    """Write the generated files; raises SlipscanError outside a checkout."""
    if not (repository / "workflow" / "schemas").is_dir():
        raise SlipscanError(f"{repository} is no checkout of slipscan: run this at its root")
    texts = generated()
    check_outputs([(repository / name, GENERATED) for name in texts])
    for name, text in texts.items():
        write_text(repository / name, text, GENERATED)


def config_reference() -> str:
    """config/README.md: every key with type, default and meaning."""
    lines = [
        "# Configuration",
        "",
        "Generated from `slipscan.settings` by `slipscan docs`; do not edit. A missing key or section, or an empty",
        "section, takes the defaults below; an unknown key is an error. Units are in the names. Dates are quoted",
        "ISO dates. On the command line: `snakemake --configfile config/demo.yaml --config as_of=2019-06-30`.",
        "",
        "## Top level",
        "",
    ]
    sections = {name: field for name, field in Settings.model_fields.items() if _is_model(field.annotation)}
    lines += _rows(Settings, skip=set(sections))
    for name, field in sections.items():
        lines += _section(name, field.annotation)
    lines += [
        "",
        "# Regions",
        "",
        "`regions_file` is a GeoJSON FeatureCollection: one feature a region, its geometry a",
    ]
    lines += ["Polygon in longitude and latitude, its properties:", ""]
    lines += _rows(Region, skip={"polygon"})
    lines += ["", "## Keys of a track", "", *_rows(Track, skip=set())]
    for name, source in SOURCES.items():
        lines += ["", f"## Keys of a track's `{name}`", "", *_rows(source, skip=set())]
    return "\n".join(lines) + "\n"


def _section(name: str, model: Any) -> list[str]:
    """One section and those nested in it."""
    nested = {key: field for key, field in model.model_fields.items() if _is_model(field.annotation)}
    summary = (model.__doc__ or "").strip().splitlines()[0]
    lines = ["", f"## `{name}`", "", summary, "", *_rows(model, skip=set(nested))]
    for key, field in nested.items():
        lines += _section(f"{name}.{key}", field.annotation)
    return lines


def _rows(model: type[BaseModel], skip: set[str]) -> list[str]:
    """A table of a model's keys."""
    rows = ["| key | type | default | meaning |", "|---|---|---|---|"]
    for key, field in model.model_fields.items():
        if key in skip:
            continue
        required = field.default is PydanticUndefined
        default = "required" if required else f"`{json.dumps(field.default)}`"
        limits = ", ".join(_limit(m) for m in field.metadata if _limit(m))
        kind = _type_name(field.annotation) + (f" ({limits})" if limits else "")
        rows.append(f"| `{key}` | {kind} | {default} | {field.description or ''} |")
    return rows


def _limit(metadata: Any) -> str:
    """A range as text."""
    for name, symbol in (("gt", ">"), ("ge", ">="), ("lt", "<"), ("le", "<=")):
        if hasattr(metadata, name):
            return f"{symbol} {getattr(metadata, name)}"
    return ""


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _type_name(annotation: Any) -> str:
    """A type as a user reads it."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return " or ".join(f"`{argument}`" for argument in arguments)
    if origin in (Union, UnionType):
        return " or ".join(_type_name(a) for a in arguments if a is not type(None))
    if origin is tuple:
        return f"list of {_type_name(arguments[0])}"
    if hasattr(annotation, "__metadata__"):
        return _type_name(arguments[0])
    return getattr(annotation, "__name__", str(annotation))


def _products() -> str:
    """The product reference, docs/products.md."""
    lines = [
        "# Products",
        "",
        "Generated from `slipscan.vocabulary` by `slipscan docs`; do not edit. Every displacement is in",
        f"metres, {TOWARD}; y descends, x and time ascend; NaN means no data.",
    ]
    for product, variables in PRODUCTS.items():
        lines += ["", f"## {product}", "", "| variable | dims | type, units | meaning |", "|---|---|---|---|"]
        for v in variables:
            meaning = v.long_name + (f" ({v.sign})" if v.sign else "") + ("" if v.required else "; optional")
            if v.flag_meanings:
                meaning += "; bits: " + ", ".join(f"{1 << bit} {name}" for bit, name in enumerate(v.flag_meanings))
            lines.append(f"| `{v.name}` | {', '.join(v.dims) or '-'} | {v.dtype} {v.units} | {meaning} |")
    return "\n".join(lines) + "\n"
