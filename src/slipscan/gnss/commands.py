"""Subcommands about GNSS series; what is heavy is imported inside."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from slipscan.arguments import Config, Options
from slipscan.errors import SlipscanError


def agreement(
    stations: Annotated[Path, typer.Argument(help="directory of NGL .tenv3 files")],
    out: Annotated[Path, typer.Option("--out", help="table (.csv)")],
    stack: Annotated[list[Path], typer.Option("--stack", help="of every track")],
    denoised: Annotated[list[Path], typer.Option("--denoised", help="of every track, in the order of --stack")],
    config: Config = None,
    options: Options = None,
) -> None:
    """Compare the series of every station with InSAR's, before denoising and after."""
    from slipscan.configuration import stage_settings
    from slipscan.gnss.agreement import write_agreement
    from slipscan.settings import GnssSettings

    if len(stack) != len(denoised):
        raise SlipscanError(
            f"slipscan agreement has {len(stack)} stacks and {len(denoised)} denoised products: give pairs"
        )
    settings = stage_settings(GnssSettings, config, options)
    write_agreement(stations, list(zip(stack, denoised, strict=True)), out, settings)
