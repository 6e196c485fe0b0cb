"""The subcommands of `slipscan archive`; what is heavy is imported inside."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from slipscan.arguments import CacheDir, Config, In, Options, Out, RegionsFile
from slipscan.errors import SlipscanError

if TYPE_CHECKING:
    from slipscan.archive.job import Job
    from slipscan.settings import ArchiveSettings, Settings

app = typer.Typer(help="Search, order and fetch: manifests, observations, stations.", no_args_is_help=True)

AsOf = Annotated[
    str | None, typer.Option("--as-of", help="latest acquisition, ISO date; default: the configuration's as_of")
]


@app.command()
def search(
    region: str,
    track: str,
    as_of: AsOf = None,
    out: Annotated[Path | None, typer.Argument(help="manifest (CSV); not with --dry-run")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="print what would be asked, and ask nothing")] = False,
    regions: RegionsFile = None,
    config: Config = None,
    options: Options = None,
) -> None:
    """Write the manifest of a region's track: which granules the archive has up to a date."""
    from slipscan.archive.stage import query_text, write_manifest
    from slipscan.settings import iso_date

    whole, settings = _settings(config, options)
    if as_of is None and config is None:
        raise SlipscanError("slipscan archive search goes up to a date: say --as-of YYYY-MM-DD, or --config FILE")
    as_of = whole.as_of if as_of is None else iso_date(as_of, "--as-of")
    job = _job(whole, settings, region, track, regions)
    if dry_run:
        print(query_text(job, as_of))
    elif out is None:
        raise SlipscanError(
            "slipscan archive search writes a manifest: name the file after the track, or say --dry-run"
        )
    else:
        write_manifest(job, as_of, out)


@app.command()
def order(
    region: str,
    track: str,
    manifest: In,
    submit: Annotated[
        bool, typer.Option("--submit", help="spend the credits; without it only the price is said")
    ] = False,
    again: Annotated[bool, typer.Option("--again", help="order failed and expired ones once more")] = False,
    regions: RegionsFile = None,
    cache: CacheDir = None,
    config: Config = None,
    options: Options = None,
) -> None:
    """Price, and with --submit order, the interferograms of a manifest of archive 'hyp3'; no pair is ordered twice."""
    from slipscan.archive.stage import order as run

    whole, settings = _settings(config, options)
    print(run(_job(whole, settings, region, track, regions, cache), manifest, submit, again))


@app.command()
def fetch(
    region: str,
    track: str,
    manifest: In,
    observations: Out,
    inventory: Out,
    regions: RegionsFile = None,
    cache: CacheDir = None,
    config: Config = None,
    options: Options = None,
) -> None:
    """Fetch what a manifest lists and write it in slipscan's units and signs, with the inventory as received."""
    from slipscan.archive.stage import write_observations

    whole, settings = _settings(config, options)
    write_observations(_job(whole, settings, region, track, regions, cache), manifest, observations, inventory)


@app.command()
def status(
    region: str,
    config: Annotated[Path, typer.Option("--config", help="the workflow's configuration")] = Path("config/config.yaml"),
    options: Options = None,
) -> None:
    """Say, per track, what the manifest lists, what of it is in the cache, and what was written."""
    from slipscan.archive.status import describe
    from slipscan.regions import read_region

    whole, settings = _settings(config, options)
    whole = whole.model_copy(update={"archive": settings})
    print(describe(read_region(Path(whole.regions_file), region), whole))


@app.command()
def stations(
    region: str,
    out: Out,
    regions: RegionsFile = None,
    config: Config = None,
    options: Options = None,
    directory: Annotated[str | None, typer.Option(help="directory of .tenv3 files (gnss.directory)")] = None,
) -> None:
    """Gather the GNSS series of a region in one directory."""
    from slipscan.archive.stage import write_stations
    from slipscan.regions import read_region

    whole, settings = _settings(config, options)
    entry = read_region(regions or Path(whole.regions_file), region)
    write_stations(entry, settings, directory or whole.gnss.directory, out)


@app.command()
def truth(
    region: str, out: Out, regions: RegionsFile = None, config: Config = None, options: Options = None
) -> None:  # fmt: skip
    """Write what a simulated region really holds (for `slipscan score`)."""
    from slipscan.archive.stage import write_truth
    from slipscan.regions import read_region

    whole, settings = _settings(config, options)
    write_truth(read_region(regions or Path(whole.regions_file), region), settings, out)


def _settings(config: Path | None, options: list[str] | None) -> tuple[Settings, ArchiveSettings]:
    """The whole configuration, and its section 'archive' with the --set options over it."""
    from slipscan.configuration import read_settings, stage_settings
    from slipscan.settings import ArchiveSettings

    return read_settings(config), stage_settings(ArchiveSettings, config, options)


def _job(
    whole: Settings, settings: ArchiveSettings, region: str, track: str, regions: Path | None, cache: Path | None = None
) -> Job:
    """A region's track, from the regions file of the command line or of the configuration."""
    from slipscan.archive.job import Job
    from slipscan.regions import read_region

    entry = read_region(regions or Path(whole.regions_file), region)
    return Job(entry, entry.track(track), settings, cache or Path(whole.cache_dir))
