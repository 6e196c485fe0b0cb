"""Figures and tables of the benchmark's page as Markdown."""

from __future__ import annotations

import math

import pandas as pd

from slipbench import methods as catalogue

Tables = dict[str, pd.DataFrame]
"""Per method, from `summary.summarise`."""


def methods_table(tables: Tables) -> str:
    """Where the methods come from."""
    return markdown(["method", "from"], [[titled(name), catalogue.of_table(name).reference] for name in tables])


def pick(table: pd.DataFrame, family: str, background: str, kind: str) -> pd.Series:
    """A row of a table; empty where there is none."""
    rows = table[(table["family"] == family) & (table["background"] == background) & (table["kind"] == kind)]
    return rows.iloc[0] if len(rows) else pd.Series(dtype=object)


def number(row: pd.Series, name: str, digits: int = 2, interval: bool = False) -> str:
    """A figure as text, with its interval if asked."""
    value = row.get(name, math.nan)
    text = plain(value, digits)
    low, high = row.get(f"{name}_low", math.nan), row.get(f"{name}_high", math.nan)
    if interval and not (math.isnan(low) or math.isnan(high)):
        text += f" [{plain(low, digits)}, {plain(high, digits)}]"
    return text


def plain(value: float, digits: int) -> str:
    """A number as text; - where there is none, never where it is infinite."""
    if value is None or math.isnan(value):
        return "-"
    return "never" if math.isinf(value) else f"{value:.{digits}f}"


def markdown(head: list[str], body: list[list[str]]) -> str:
    """A table."""
    lines = [head, ["---"] * len(head), *body]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def titled(name: str) -> str:
    """A method's name; the bound is marked."""
    return f"*{name}* (bound)" if catalogue.of_table(name).is_bound else name
