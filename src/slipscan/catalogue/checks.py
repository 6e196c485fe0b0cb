"""No layer is written that breaks the schema: names, order, types, NULLs, choices, ranges and unique keys (pandera)."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd

from slipscan.catalogue.columns import Column, Layer
from slipscan.errors import SlipscanError

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
TYPES = {"text": "object", "date": "object", "number": "float64", "integer": "Int64", "truth": "bool"}


class BrokenSchemaError(SlipscanError):
    """A layer breaks the schema."""


def conformed(frame: pd.DataFrame, layer: Layer) -> pd.DataFrame:
    """The layer's columns in order and in the types of `TYPES`, NULL as None, NaN or NA."""
    out: dict[str, Any] = {}
    for column in layer.columns:
        values = frame[column.name]
        if TYPES[column.kind] == "object":
            plain = values.astype(object)
            out[column.name] = plain.where(plain.notna(), None)
        elif column.kind == "integer":
            numbers = values.to_numpy(dtype=float, na_value=np.nan)
            out[column.name] = pd.array(np.nan_to_num(numbers).astype(np.int64), dtype="Int64")
            out[column.name][np.isnan(numbers)] = pd.NA
        elif column.kind == "number":
            out[column.name] = values.to_numpy(dtype=float, na_value=np.nan)
        else:
            out[column.name] = values.to_numpy(dtype=bool)
    return pd.DataFrame(out, index=frame.index)


def check(frame: pd.DataFrame, layer: Layer) -> None:
    """Hold a table without its geometry to the schema.

    Raises
    ------
    BrokenSchemaError
        names the layer, the column, the rule and a value that breaks it
    """
    import pandera.pandas as pandera
    from pandera.errors import SchemaErrors

    columns = {column.name: _rules(column, pandera) for column in layer.columns}
    schema = pandera.DataFrameSchema(columns, strict=True, ordered=True, unique=list(layer.unique))
    try:
        schema.validate(frame, lazy=True)
    except SchemaErrors as error:
        case = error.failure_cases.iloc[0]
        raise BrokenSchemaError(
            f"the layer '{layer.name}' breaks the catalogue's schema: column '{case['column']}', {case['check']}"
            f" (value {str(case['failure_case'])[:60]!r}); nothing was written"
        ) from error


def _are_dates(values: pd.Series) -> pd.Series:
    """(row) whether a text is an ISO date; each text is looked at once."""
    return values.isin([text for text in values.unique() if isinstance(text, str) and _DATE.fullmatch(text)])


def _rules(column: Column, pandera: Any) -> Any:
    """One column's checks."""
    checks = []
    if column.kind == "date":
        checks.append(pandera.Check(_are_dates, name="an ISO date"))
    if column.choices:
        checks.append(pandera.Check.isin(column.choices))
    if column.low is not None:
        checks.append(pandera.Check.ge(column.low))
    if column.high is not None:
        checks.append(pandera.Check.le(column.high))
    return pandera.Column(TYPES[column.kind], checks, nullable=not column.required)
