"""Arguments and options that several subcommands share, as typer reads them."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

import typer

In = Annotated[Path, typer.Argument(help="input")]
Out = Annotated[Path, typer.Argument(help="output, written beside and renamed")]
Config = Annotated[
    Path | None, typer.Option("--config", help="YAML of the workflow (config/README.md); other options go before it")
]
Options = Annotated[
    list[str] | None,
    typer.Option("--set", help="key=value of this stage's section of the configuration (config/README.md)"),
]
RegionsFile = Annotated[
    Path | None, typer.Option("--regions", help="GeoJSON of regions; default: the configuration's regions_file")
]
CacheDir = Annotated[
    Path | None, typer.Option("--cache", help="content-addressed cache; default: the configuration's cache_dir")
]
Threads = Annotated[int, typer.Option("--threads", min=1, max=1024, help="blocks that are worked on at once")]
Workers = Annotated[int | None, typer.Option("--workers", min=1, max=1024, help="processes; default: one per core")]


def finite(value: float) -> float:
    """Refuse nan and infinity, which pass every range of typer."""
    if not math.isfinite(value):
        raise typer.BadParameter(f"{value} is no finite number.")
    return value
