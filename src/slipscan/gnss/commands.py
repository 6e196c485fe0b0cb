"""The subcommands of `slipscan gnss`; what is heavy is imported inside."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from slipscan.arguments import CacheDir, Config, Options, Out, RegionsFile
from slipscan.errors import SlipscanError


class _CompareByDefault(TyperGroup):
    """`slipscan gnss EVENTS STATIONS ...` is `slipscan gnss compare EVENTS STATIONS ...`."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        first = args[0] if args else ""
        return super().resolve_command(ctx, args if first in self.commands else ["compare", *args])


app = typer.Typer(cls=_CompareByDefault, help="GNSS: fetch, find transients, compare.", no_args_is_help=True)

Date = Annotated[str | None, typer.Option(help="ISO date; default: all positions")]


@app.command()
def fetch(
    region: str, out: Out, regions: RegionsFile = None, cache: CacheDir = None, config: Config = None,
    options: Options = None,
) -> None:  # fmt: skip
    """Fetch the daily positions of a region's stations and their steps from NGL; only what has changed is sent."""
    from slipscan.configuration import read_settings, stage_settings
    from slipscan.gnss.fetch import fetch_stations
    from slipscan.regions import read_region
    from slipscan.settings import NglSettings

    whole = read_settings(config)
    entry = read_region(regions or Path(whole.regions_file), region)
    settings = stage_settings(NglSettings, config, options)
    names = fetch_stations(entry, settings, whole.archive.download, cache or Path(whole.cache_dir), out)
    print(f"{len(names)} stations in {out}: {', '.join(names)}")


@app.command()
def detect(
    stations: Annotated[Path, typer.Argument(help="directory of stations' files, and perhaps NGL's steps.txt")],
    out: Annotated[Path, typer.Argument(help="table of transients (.csv), a row an event and station")],
    since: Date = None, until: Date = None, config: Config = None, options: Options = None,
) -> None:  # fmt: skip
    """Find transients in a network of GNSS stations by themselves."""
    from slipscan.configuration import stage_settings
    from slipscan.gnss.found import write_detections
    from slipscan.settings import GnssDetectSettings

    write_detections(stations, out, stage_settings(GnssDetectSettings, config, options), since, until)


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
