"""The subcommands about many regions and machines; what is heavy is imported inside."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from slipscan.arguments import Config
from slipscan.errors import SlipscanError

cluster_app = typer.Typer(help="A cluster's queue.", no_args_is_help=True)

regions_app = typer.Typer(help="The table of regions.", no_args_is_help=True)

ProjectConfig = Annotated[Path | None, typer.Option(help="configuration file; default: config/config.yaml")]


def status(
    config: ProjectConfig = None,
    in_json: Annotated[bool, typer.Option("--json", help="for programs")] = False,
    would_run: Annotated[bool, typer.Option("--would-run", help="what Snakemake would run, and why")] = False,
    stale: Annotated[bool, typer.Option("--stale", help="of that, only what ran before")] = False,
) -> None:
    """Say how far every region and track is, what failed, what is on the cluster; nothing is run."""
    from slipscan.configuration import read_settings
    from slipscan.fleet.status import describe
    from slipscan.project.stale import status as of_snakemake
    from slipscan.regions import read_regions, select

    if in_json and (would_run or stale):
        raise SlipscanError("--json is of the table, not of --would-run or --stale: leave one of them out")
    if would_run or stale:
        print(of_snakemake(config, Path.cwd(), stale))
        return
    settings = read_settings(config or Path("config/config.yaml"))
    regions = select(read_regions(Path(settings.regions_file)), settings.regions, settings.shard)
    print(describe(regions, settings, Path.cwd(), in_json))


def plan(
    config: Config = None,
    regions: Annotated[Path | None, typer.Option(help="regions file: all of it; default: the configuration's")] = None,
    rates: Annotated[Path | None, typer.Option(help="YAML of rates and prices that differ from those measured")] = None,
    nodes: Annotated[int, typer.Option(min=1, help="machines")] = 1,
    cores: Annotated[int, typer.Option(min=1, help="of each")] = 16,
    gpus: Annotated[int, typer.Option(min=0, help="in all; 0: denoise runs on the cores")] = 0,
    streams: Annotated[int, typer.Option(min=1, help="downloads at once")] = 4,
    plot: Annotated[Path | None, typer.Option(help="figure (.png)")] = None,
    measured: Annotated[Path | None, typer.Option(help="results of a run of the same regions, to compare with")] = None,
) -> None:
    """Say what a table of regions costs: granules, bytes, hours, disk, money, and what binds first."""
    from slipscan.fleet.plan import Machines
    from slipscan.fleet.plan_page import describe

    print(describe(config, regions, rates, Machines(nodes, cores, gpus, streams), plot, measured))


@cluster_app.command()
def clean() -> None:
    """Cancel the jobs that a killed Snakemake left in Slurm's queue, so that a new run does not write beside them."""
    from slipscan.fleet.slurm import clean as run

    found = run(Path.cwd())
    for job in found:
        print(f"cancelled: {job.id} {job.what}")
    print(f"{len(found)} jobs of this directory were in the queue; now: snakemake --unlock, and run it again")


@regions_app.command()
def world(
    out: Annotated[Path, typer.Argument(help="the regions file (.geojson): a new file")],
    boundaries: Annotated[
        list[Path], typer.Option(help="GeoJSON of plate boundaries, faults or volcanoes; once for each file")
    ],
    width_km: Annotated[
        float, typer.Option("--width-km", min=1, max=2000, help="of the belt along a boundary, both sides together")
    ] = 150.0,
    side_km: Annotated[float, typer.Option("--side-km", min=20, max=500, help="of a region, overlap included")] = 250.0,
    overlap_km: Annotated[float, typer.Option("--overlap-km", min=0, max=200, help="of two regions")] = 50.0,
    land: Annotated[
        Path | None, typer.Option(help="GeoJSON of land polygons; default: what the frames of Sentinel-1 cover")
    ] = None,
    archive: Annotated[
        Literal["aria", "opera", "hyp3"] | None, typer.Option(help="of all; default: opera where it is made, else aria")
    ] = None,
) -> None:
    """Make the region table of every belt on land that deforms; edit it in a GIS as you like."""
    from slipscan.fleet.world import write_world

    print(write_world(out, boundaries, width_km, side_km, overlap_km, land, archive))
