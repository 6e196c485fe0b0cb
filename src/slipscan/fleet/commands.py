"""The subcommands about many regions and machines; what is heavy is imported inside."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from slipscan.errors import SlipscanError

cluster_app = typer.Typer(help="A cluster's queue.", no_args_is_help=True)

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


@cluster_app.command()
def clean() -> None:
    """Cancel the jobs that a killed Snakemake left in Slurm's queue, so that a new run does not write beside them."""
    from slipscan.fleet.slurm import clean as run

    found = run(Path.cwd())
    for job in found:
        print(f"cancelled: {job.id} {job.what}")
    print(f"{len(found)} jobs of this directory were in the queue; now: snakemake --unlock, and run it again")
