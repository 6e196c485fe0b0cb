"""The subcommands of `slipscan archive`; what is heavy is imported inside."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from slipscan.errors import SlipscanError

if TYPE_CHECKING:
    from slipscan.settings import ArchiveSettings

app = typer.Typer(help="Search, order and fetch: manifests, observations, stations.", no_args_is_help=True)

In = Annotated[Path, typer.Argument(help="input")]
Out = Annotated[Path, typer.Argument(help="output, written beside and renamed")]
AsOf = Annotated[str, typer.Option("--as-of", help="latest acquisition, ISO date")]
RegionsFile = Annotated[Path, typer.Option("--regions", help="GeoJSON of regions")]
CacheDir = Annotated[Path, typer.Option("--cache", help="content-addressed cache")]
Config = Annotated[Path | None, typer.Option("--config", help="YAML whose section 'archive' is taken")]
Options = Annotated[
    list[str] | None,
    typer.Option("--set", help="key=value of the configuration's section 'archive' (config/README.md)"),
]

REGIONS_FILE = Path("config/regions.geojson")
CACHE = Path("cache")


@app.command()
def search(
    region: str,
    track: str,
    as_of: AsOf,
    out: Annotated[Path | None, typer.Argument(help="manifest (CSV); not with --dry-run")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="print what would be asked, and ask nothing")] = False,
    regions: RegionsFile = REGIONS_FILE,
    config: Config = None,
    options: Options = None,
) -> None:
    """Write the manifest of a region's track: which granules the archive has up to a date."""
    from slipscan.archive.stage import query_text, write_manifest
    from slipscan.regions import read_region

    entry = read_region(regions, region)
    settings = _settings(config, options)
    if dry_run:
        print(query_text(entry, entry.track(track), settings, as_of))
    elif out is None:
        raise SlipscanError(
            "slipscan archive search writes a manifest: name the file after the track, or say --dry-run"
        )
    else:
        write_manifest(entry, entry.track(track), settings, as_of, out)


@app.command()
def order(
    region: str,
    track: str,
    manifest: In,
    submit: Annotated[
        bool, typer.Option("--submit", help="spend the credits; without it only the price is said")
    ] = False,
    again: Annotated[bool, typer.Option("--again", help="order failed and expired ones once more")] = False,
    regions: RegionsFile = REGIONS_FILE,
    cache: CacheDir = CACHE,
    config: Config = None,
    options: Options = None,
) -> None:
    """Price, and with --submit order, the interferograms of a manifest of archive 'hyp3'; no pair is ordered twice."""
    from slipscan.archive.stage import order as run
    from slipscan.regions import read_region

    entry = read_region(regions, region)
    print(run(entry, entry.track(track), _settings(config, options), manifest, cache, submit, again))


@app.command()
def fetch(
    region: str,
    track: str,
    manifest: In,
    observations: Out,
    inventory: Out,
    regions: RegionsFile = REGIONS_FILE,
    cache: CacheDir = CACHE,
    config: Config = None,
    options: Options = None,
) -> None:
    """Fetch what a manifest lists and write it in slipscan's units and signs, with the inventory as received."""
    from slipscan.archive.stage import write_observations
    from slipscan.regions import read_region

    entry = read_region(regions, region)
    settings = _settings(config, options)
    write_observations(entry, entry.track(track), settings, manifest, cache, observations, inventory)


@app.command()
def status(
    region: str,
    config: Annotated[Path, typer.Option("--config", help="the workflow's configuration")] = Path("config/config.yaml"),
) -> None:
    """Say, per track, what the manifest lists, what of it is in the cache, and what was written."""
    from slipscan.archive.status import describe
    from slipscan.regions import read_region
    from slipscan.settings import read_settings

    settings = read_settings(config)
    print(describe(read_region(Path(settings.regions_file), region), settings))


@app.command()
def stations(
    region: str,
    out: Out,
    regions: RegionsFile = REGIONS_FILE,
    options: Options = None,
    directory: Annotated[str | None, typer.Option(help="directory of .tenv3 files (gnss.directory)")] = None,
) -> None:
    """Gather the GNSS series of a region in one directory."""
    from slipscan.archive.stage import write_stations
    from slipscan.regions import read_region

    write_stations(read_region(regions, region), _settings(None, options), directory, out)


@app.command()
def truth(region: str, out: Out, regions: RegionsFile = REGIONS_FILE, options: Options = None) -> None:
    """Write what a simulated region really holds (for `slipscan score`)."""
    from slipscan.archive.stage import write_truth
    from slipscan.regions import read_region

    write_truth(read_region(regions, region), _settings(None, options), out)


def _settings(config: Path | None, options: list[str] | None) -> ArchiveSettings:
    """The settings of the archive: of a file, or of --set options."""
    from slipscan.settings import ArchiveSettings, from_options, read_settings

    if config is not None and options:
        raise SlipscanError("slipscan archive takes --config or --set, not both: write the keys into the file")
    return read_settings(config).archive if config is not None else from_options(ArchiveSettings, options or [])
