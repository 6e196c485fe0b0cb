"""The command line: one typed function per subcommand; what is heavy is imported inside."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

# Linear algebra on one thread: sums and decompositions differ between 1 and 2 threads, and byte identity
# must not depend on the machine. Work is spread over processes and blocks instead.
for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_variable] = "1"

import typer  # noqa: E402

from slipbench import commands as bench_commands  # noqa: E402
from slipscan import __version__  # noqa: E402
from slipscan.archive import commands as archive_commands  # noqa: E402
from slipscan.arguments import CacheDir, Config, In, Options, Out, RegionsFile, Threads  # noqa: E402
from slipscan.catalogue import commands as catalogue_commands  # noqa: E402
from slipscan.ending import run_app  # noqa: E402
from slipscan.errors import SlipscanError  # noqa: E402
from slipscan.fleet import commands as fleet_commands  # noqa: E402
from slipscan.gnss import commands as gnss_commands  # noqa: E402
from slipscan.project import commands as project_commands  # noqa: E402

app = typer.Typer(
    help="A catalogue of slow slip events from the Sentinel-1 archive.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.add_typer(archive_commands.app, name="archive")
app.add_typer(project_commands.cache_app, name="cache")
app.add_typer(fleet_commands.cluster_app, name="cluster")
app.add_typer(fleet_commands.regions_app, name="regions")
app.add_typer(bench_commands.app, name="bench")
app.add_typer(gnss_commands.app, name="gnss")

Denoised = Annotated[Path | None, typer.Option(help="product of `slipscan denoise` of the same stack")]
Noise = Annotated[Path | None, typer.Option(help="product of `slipscan noise`: how noise is correlated in time")]


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
    """Run the command line."""
    run_app(app)


@app.command()
def timeseries(
    interferograms: In, stack: Out, config: Config = None, options: Options = None, threads: Threads = 1,
    cache: CacheDir = None,
) -> None:  # fmt: skip
    """Invert interferograms (or bring a ready series) to a displacement stack."""
    from slipscan.configuration import chosen_cache, stage_settings
    from slipscan.settings import TimeseriesSettings
    from slipscan.timeseries.stage import write_stack

    chosen = stage_settings(TimeseriesSettings, config, options)
    write_stack(interferograms, stack, chosen, threads, chosen_cache(cache, config))


@app.command()
def noise(stack: In, out: Out, config: Config = None, options: Options = None) -> None:
    """Estimate what the air does in a stack."""
    from slipscan.configuration import stage_settings
    from slipscan.noise.stage import write_noise
    from slipscan.settings import NoiseSettings

    write_noise(stack, out, stage_settings(NoiseSettings, config, options))


@app.command()
def denoise(
    stack: In, out: Out, config: Config = None, options: Options = None, threads: Threads = 1, noise: Noise = None
) -> None:
    """Say what happened in a stack beside rate, season and atmosphere, with sigma."""
    from slipscan.configuration import stage_settings
    from slipscan.denoise.stage import write_denoised
    from slipscan.settings import DenoiseSettings

    _one_thread()
    write_denoised(stack, out, stage_settings(DenoiseSettings, config, options), threads, noise)


@app.command()
def calibrate(
    stack: In, out: Out, config: Config = None, options: Options = None, threads: Threads = 1,
    denoised: Denoised = None, noise: Noise = None,
    until: Annotated[str | None, typer.Option(help="use epochs up to this date (calibration_as_of)")] = None,
    cache: CacheDir = None,
) -> None:  # fmt: skip
    """Find the threshold for the stated false-alarm rate from null stacks."""
    from slipscan.configuration import chosen_cache, chosen_vintage, stage_settings
    from slipscan.detect.calibrate import write_calibration
    from slipscan.settings import DetectSettings

    _one_thread()
    write_calibration(
        stack, out, stage_settings(DetectSettings, config, options),
        denoised=denoised, noise=noise, until=chosen_vintage(until, config), cache_dir=chosen_cache(cache, config),
        threads=threads,
    )  # fmt: skip


@app.command()
def detect(
    stack: In, out: Out, config: Config = None, options: Options = None, threads: Threads = 1,
    denoised: Denoised = None, noise: Noise = None,
    calibration: Annotated[Path | None, typer.Option(help="of `slipscan calibrate`; default: made here")] = None,
) -> None:  # fmt: skip
    """Detect transients in a stack, by the displacement or by what the denoiser says."""
    from slipscan.configuration import stage_settings
    from slipscan.detect.stage import write_transients
    from slipscan.settings import DetectSettings

    _one_thread()
    write_transients(
        stack, out, stage_settings(DetectSettings, config, options),
        denoised=denoised, noise=noise, calibration=calibration, threads=threads,
    )  # fmt: skip


@app.command()
def source(
    transients: Annotated[list[Path], typer.Argument(help="transients of every track of one region")],
    out: Annotated[Path, typer.Option("--out", help="event table (.parquet)")],
    config: Config = None,
    options: Options = None,
    noise: Annotated[
        list[Path] | None, typer.Option(help="noise product of every track, in their order; once for each")
    ] = None,
    stack: Annotated[
        list[Path] | None, typer.Option(help="stack of every track, in their order: sources are fitted to all tracks")
    ] = None,
) -> None:
    """Join the tracks of a region and say what made each event, with its errors."""
    from slipscan.configuration import stage_settings
    from slipscan.settings import SourceSettings
    from slipscan.source.stage import write_event_table

    _one_thread()
    write_event_table(transients, out, stage_settings(SourceSettings, config, options), noise or [], stack or [])


@app.command()
def completeness(
    stacks: Annotated[list[Path], typer.Argument(help="stacks of every track of one region")],
    calibration: Annotated[
        list[Path], typer.Option(help="of `slipscan calibrate`, of every track, in their order; once for each")
    ],
    out: Annotated[Path, typer.Option("--out", help="grid of magnitudes (.parquet)")],
    config: Config = None,
    options: Options = None,
    detector: Annotated[
        list[str] | None, typer.Option("--detect", help="key=value of the section detect, as it was calibrated")
    ] = None,
    noise: Annotated[
        list[Path] | None, typer.Option(help="of `slipscan noise`, of every track, as `calibrate` was given them")
    ] = None,
    until: Annotated[str | None, typer.Option(help="use epochs up to this date (calibration_as_of)")] = None,
    cache: CacheDir = None,
    threads: Threads = 1,
) -> None:
    """Find from which magnitude on 90 % of events are detected, by injections into the tracks of a region."""
    from slipscan.completeness.stage import write_completeness
    from slipscan.configuration import chosen_cache, chosen_vintage, stage_settings
    from slipscan.settings import CompletenessSettings, DetectSettings

    _one_thread()
    write_completeness(
        stacks, calibration, out, stage_settings(CompletenessSettings, config, options),
        stage_settings(DetectSettings, config, detector), noise_files=noise or [],
        until=chosen_vintage(until, config), cache_dir=chosen_cache(cache, config), threads=threads,
    )  # fmt: skip


@gnss_commands.app.command("compare")
def gnss(
    events: In,
    stations: Annotated[Path, typer.Argument(help="directory of NGL .tenv3 files")],
    transients: Annotated[list[Path], typer.Argument(help="transients of every track of the region")],
    out: Annotated[Path, typer.Option("--out", help="table of comparisons (.parquet)")],
    config: Config = None,
    options: Options = None,
) -> None:
    """Compare events with GNSS series and give a verdict."""
    from slipscan.configuration import stage_settings
    from slipscan.gnss.stage import write_gnss_table
    from slipscan.settings import GnssSettings

    write_gnss_table(events, transients, stations, out, stage_settings(GnssSettings, config, options))


app.command()(gnss_commands.agreement)
app.command()(catalogue_commands.increment)
app.add_typer(catalogue_commands.app, name="catalogue")


@app.command()
def report(
    catalogue: In, results: Annotated[Path, typer.Argument(help="results directory")], page: Out, world_map: Out,
    region: Annotated[
        list[str] | None, typer.Option(help="ids of the regions on the page; default: those of the configuration")
    ] = None,
    regions: RegionsFile = None, config: Config = None, options: Options = None,
) -> None:  # fmt: skip
    """Write the page and the map."""
    from slipscan.configuration import read_settings, stage_settings
    from slipscan.regions import read_regions, select
    from slipscan.report.stage import write_report
    from slipscan.settings import ReportSettings

    whole = read_settings(config)
    file = regions or Path(whole.regions_file)
    if not region and config is None:
        raise SlipscanError("slipscan report needs regions: say --region ID (once for each), or --config FILE")
    ids = region or list(select(read_regions(file), whole.regions, whole.shard))
    write_report(catalogue, results, file, ids, page, world_map, stage_settings(ReportSettings, config, options))


@app.command()
def train(
    out: Annotated[Path, typer.Argument(help="weights (.safetensors); the card goes beside it")],
    config: Config = None,
    finish: Annotated[bool, typer.Option("--finish", help="slice after slice, to the end of the schedule")] = False,
    options: Options = None,
) -> None:
    """Train a network on synthetic scenes, for one slice; called again, it goes on from its checkpoint."""
    import json

    import torch

    from slipscan.configuration import stage_settings
    from slipscan.denoise.training.run import train as train_network
    from slipscan.settings import TrainSettings

    # All cores that the job was given; fewer where OMP_NUM_THREADS says so: threads that wait for a core spin.
    asked = os.environ.get("OMP_NUM_THREADS", "")
    torch.set_num_threads(int(asked) if asked.isdigit() and int(asked) > 0 else len(os.sched_getaffinity(0)))
    settings = stage_settings(TrainSettings, config, options)
    card = train_network(settings, out)
    while finish and card is None:
        card = train_network(settings, out)
    print(json.dumps(card, indent=2) if card else f"the slice is over; run it again to go on ({out}: not written yet)")


app.command()(bench_commands.score)
app.command()(project_commands.summary)
app.command()(fleet_commands.status)
app.command()(fleet_commands.plan)


@app.command()
def export(
    kind: Annotated[Literal["mintpy", "licsbas", "netcdf", "geotiff"], typer.Argument(help="whose format")],
    stack: In,
    out: Out,
    variable: Annotated[str, typer.Option(help="displacement, denoised or transient")] = "displacement",
    denoised: Denoised = None,
) -> None:
    """Write a stack in the format of another tool (docs/archives.md)."""
    from slipscan.export.stack import export as export_stack

    export_stack(stack, kind, out, variable, denoised, isolated=True)


@app.command()
def loopback(
    directory: Annotated[Path, typer.Argument(help="where files, regions.geojson and config.yaml are written")],
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: any that is free")] = 8650,
) -> None:
    """Serve a small synthetic archive of all kinds on this machine: to try the clients without an account."""
    from slipscan_loopback.archive import serve

    serve(directory, port)


app.command()(project_commands.init)
app.command()(project_commands.docs)


def _one_thread() -> None:
    """Torch on one thread, see above."""
    import torch

    torch.set_num_threads(1)
