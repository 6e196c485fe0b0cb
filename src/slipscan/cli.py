"""The command line: one typed function per subcommand; what is heavy is imported inside."""

from __future__ import annotations

import logging
import os
import shlex
import sys
from pathlib import Path
from typing import Annotated, Literal

# Linear algebra on one thread: sums and decompositions differ between 1 and 2 threads, and byte identity
# must not depend on the machine. Work is spread over processes and blocks instead.
for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_variable] = "1"

import typer  # noqa: E402

from slipscan import __version__  # noqa: E402
from slipscan.archive import commands as archive_commands  # noqa: E402
from slipscan.bench.commands import app as bench_app  # noqa: E402
from slipscan.errors import SlipscanError  # noqa: E402
from slipscan.progress import set_up_logging  # noqa: E402

app = typer.Typer(
    help="A catalogue of slow slip events from the Sentinel-1 archive.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
cache_app = typer.Typer(help="The content-addressed cache.", no_args_is_help=True)
app.add_typer(archive_commands.app, name="archive")
app.add_typer(cache_app, name="cache")
app.add_typer(bench_app, name="bench")

log = logging.getLogger("slipscan")

INTERRUPTED = 130
"""The status with which typer ends at Ctrl-C."""

In = Annotated[Path, typer.Argument(help="input")]
Out = Annotated[Path, typer.Argument(help="output, written beside and renamed")]
Options = Annotated[
    list[str] | None,
    typer.Option("--set", help="key=value of this stage's section of the configuration (config/README.md)"),
]
RegionsFile = Annotated[Path, typer.Option("--regions", help="GeoJSON of regions")]
CacheDir = Annotated[Path, typer.Option("--cache", help="content-addressed cache")]
Threads = Annotated[int, typer.Option("--threads", min=1, help="blocks that are worked on at once")]

DEMO = "snakemake --logger slipscan --configfile config/demo.yaml"
REGIONS_FILE = Path("config/regions.geojson")


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"slipscan {__version__}")
        raise typer.Exit


@app.callback()
def about(
    version: Annotated[bool, typer.Option("--version", callback=_show_version, is_eager=True, help="name it")] = False,
) -> None:
    """A catalogue of slow slip events from the Sentinel-1 archive."""


def main() -> None:
    """Run the command line; what the user can mend ends in one sentence on stderr and status 1."""
    set_up_logging()
    try:
        app()
    except SlipscanError as error:
        _fail(str(error))
    except SystemExit as end:
        if end.code == INTERRUPTED:
            print("slipscan: stopped: nothing half-written has its final name; run it again to go on", file=sys.stderr)
        raise
    except OSError as error:
        _fail(f"{error.strerror or error}" + (f": {error.filename}" if error.filename else ""))


def _fail(sentence: str) -> None:
    print(f"slipscan: error: {' '.join(sentence.split())}", file=sys.stderr)
    raise SystemExit(1)


@app.command()
def timeseries(interferograms: In, stack: Out, options: Options = None, threads: Threads = 1) -> None:
    """Invert interferograms (or bring a ready series) to a displacement stack."""
    from slipscan.settings import TimeseriesSettings, from_options
    from slipscan.timeseries.stage import run

    run(interferograms, stack, from_options(TimeseriesSettings, options or []), threads)


@app.command()
def noise(stack: In, out: Out, options: Options = None) -> None:
    """Estimate what the air does in a stack."""
    from slipscan.noise.stage import run
    from slipscan.settings import NoiseSettings, from_options

    run(stack, out, from_options(NoiseSettings, options or []))


@app.command()
def denoise(
    stack: In, out: Out, options: Options = None,
    cache: Annotated[Path | None, typer.Option("--cache", help="content-addressed cache")] = None,
) -> None:  # fmt: skip
    """Take the atmosphere out of a stack: rate, season and events, with sigma."""
    from slipscan.denoise.stage import run
    from slipscan.digest import code_digest
    from slipscan.settings import DenoiseSettings, from_options

    _one_thread()
    run(stack, out, from_options(DenoiseSettings, options or []), cache, code_digest("denoise"))


@app.command()
def calibrate(
    stack: In, out: Out, options: Options = None, threads: Threads = 1,
    until: Annotated[str | None, typer.Option(help="use epochs up to this date (calibration_as_of)")] = None,
    cache: Annotated[Path | None, typer.Option("--cache", help="content-addressed cache")] = None,
) -> None:  # fmt: skip
    """Find the threshold for the stated false-alarm rate from null stacks."""
    from slipscan.detect.calibrate import run
    from slipscan.digest import code_digest
    from slipscan.settings import DetectSettings, from_options

    _one_thread()
    run(
        stack, out, from_options(DetectSettings, options or []),
        until=until, cache_dir=cache, threads=threads, code=code_digest("calibrate"),
    )  # fmt: skip


@app.command()
def detect(
    stack: In, out: Out, options: Options = None, threads: Threads = 1,
    calibration: Annotated[Path | None, typer.Option(help="of `slipscan calibrate`; default: made here")] = None,
) -> None:  # fmt: skip
    """Detect transients in a stack, denoised or raw."""
    from slipscan.detect.stage import run
    from slipscan.settings import DetectSettings, from_options

    _one_thread()
    run(stack, out, from_options(DetectSettings, options or []), calibration, threads)


@app.command()
def source(
    transients: Annotated[list[Path], typer.Argument(help="transients of every track of one region")],
    out: Annotated[Path, typer.Option("--out", help="event table (.parquet)")],
    options: Options = None,
) -> None:
    """Join the tracks of a region and invert what made each transient."""
    from slipscan.settings import SourceSettings, from_options
    from slipscan.source.stage import run

    _one_thread()
    run(transients, out, from_options(SourceSettings, options or []))


@app.command()
def gnss(
    events: In,
    stations: Annotated[Path, typer.Argument(help="directory of NGL .tenv3 files")],
    transients: Annotated[list[Path], typer.Argument(help="transients of every track of the region")],
    out: Annotated[Path, typer.Option("--out", help="table of comparisons (.parquet)")],
    options: Options = None,
) -> None:
    """Compare events with GNSS series and give a verdict."""
    from slipscan.gnss.stage import run
    from slipscan.settings import GnssSettings, from_options

    _one_thread()
    run(events, transients, stations, out, from_options(GnssSettings, options or []))


@app.command()
def increment(
    events: In, gnss: In, directory: Annotated[Path, typer.Argument(help="increments of the region")], out: Out
) -> None:  # fmt: skip
    """Append a region's scan as one immutable increment; `out` points to it."""
    from slipscan.catalogue.stage import run_increment

    run_increment(events, gnss, directory, out)


@app.command()
def catalogue(
    results: Annotated[Path, typer.Argument(help="results directory: all increments below it are folded")],
    out: Out,
    options: Options = None,
    pointer: Annotated[Path | None, typer.Option(help="JSON that names the catalogue and its sha256")] = None,
) -> None:
    """Fold all increments into the catalogue, a GeoPackage."""
    from slipscan.catalogue.stage import run_catalogue
    from slipscan.settings import CatalogueSettings, from_options

    run_catalogue(results, out, from_options(CatalogueSettings, options or []), pointer)


@app.command()
def report(
    catalogue: In, results: Annotated[Path, typer.Argument(help="results directory")], page: Out, world_map: Out,
    region: Annotated[list[str], typer.Option(help="ids of the regions on the page")],
    regions: RegionsFile = REGIONS_FILE, options: Options = None,
) -> None:  # fmt: skip
    """Write the page and the map."""
    from slipscan.report.stage import run
    from slipscan.settings import ReportSettings, from_options

    run(catalogue, results, regions, region, page, world_map, from_options(ReportSettings, options or []))


@app.command()
def train(
    out: Annotated[Path, typer.Argument(help="weights (.safetensors); the card goes beside it")],
    config: Annotated[Path | None, typer.Option(help="YAML with a section 'train'")] = None,
    finish: Annotated[bool, typer.Option("--finish", help="slice after slice, to the end of the schedule")] = False,
    options: Options = None,
) -> None:
    """Train a network on synthetic scenes, for one slice; called again, it goes on from its checkpoint."""
    import json

    import torch

    from slipscan.denoise.train import train as run
    from slipscan.settings import TrainSettings, from_options, read_settings

    torch.set_num_threads(max(1, (os.cpu_count() or 1)))
    settings = read_settings(config).train if config else from_options(TrainSettings, options or [])
    card = run(settings, out)
    while finish and card is None:
        card = run(settings, out)
    print(json.dumps(card, indent=2) if card else f"the slice is over; run it again to go on ({out}: not written yet)")


@app.command()
def score(catalogue: In, truth: In) -> None:
    """Print found, missed and false events, onset and magnitude errors against a known truth."""
    from slipscan.bench.score import run

    print(run(catalogue, truth))


@app.command()
def summary(
    results: Annotated[Path, typer.Argument(help="results directory")] = Path("results"),
) -> None:
    """Say where catalogue, report and map are, and what was found."""
    from slipscan.catalogue.summary import summarise

    print(summarise(results))


@cache_app.command("prune")
def cache_prune(
    cache: CacheDir = Path("cache"),
    max_gb: Annotated[float, typer.Option(min=0, help="size that is left")] = 10.0,
) -> None:
    """Delete the entries used longest ago until the cache is under a size."""
    from slipscan.cache import prune

    deleted, left = prune(cache, int(max_gb * 1e9))
    print(f"{deleted} entries deleted, {left / 1e9:.2f} GB left in {cache}")


@app.command()
def export(
    kind: Annotated[Literal["mintpy", "licsbas", "netcdf", "geotiff"], typer.Argument(help="whose format")],
    stack: In,
    out: Out,
    variable: Annotated[str, typer.Option(help="displacement, denoised or transient")] = "displacement",
) -> None:
    """Write a stack in the format of another tool (docs/archives.md)."""
    from slipscan.export.stack import export as run

    run(stack, kind, out, variable)


@app.command()
def loopback(
    directory: Annotated[Path, typer.Argument(help="where files, regions.geojson and config.yaml are written")],
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any that is free")] = 8650,
) -> None:
    """Serve a small synthetic archive of all kinds on this machine: to try the clients without an account."""
    from slipscan.loopback.archive import serve

    serve(directory, port)


@app.command()
def init(
    directory: Annotated[Path, typer.Argument(help="a new directory, or one without files of these names")],
) -> None:
    """Write what a project begins with: Snakefile, rules, profiles, configuration."""
    from slipscan.project.start import start

    files = start(directory)
    print(f"{len(files)} files written; the demo: cd {shlex.quote(str(directory))} && {DEMO}")


@app.command()
def docs(
    bump: Annotated[list[str] | None, typer.Option(help="stage whose version is raised: its results changed")] = None,
) -> None:
    """Write what is generated from the code: schemas, config/README.md, docs/products.md, stage versions."""
    from slipscan.reference import write_all

    write_all(Path.cwd(), bump or [])


def _one_thread() -> None:
    """Torch on one thread, see above."""
    import torch

    torch.set_num_threads(1)
