"""The subcommands of `slipscan bench`, and `slipscan score`; what is heavy is imported inside."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

import typer

from slipscan.arguments import In, Out, Workers, finite
from slipscan.errors import SlipscanError

app = typer.Typer(help="slipbench: the skill of methods on frozen synthetic scenes.", no_args_is_help=True)

Plan = Annotated[Path, typer.Option("--plan", help="definition of a set; the list of its scenes lies beside it")]
Plans = Annotated[list[Path], typer.Option("--plan", help="definition of a set; more than once for several")]

PLAN = Path("benchmarks/skill/slipbench.yaml")
PLANS = [PLAN]
SIZES = ["128x128x24", "512x512x120"]
"""And 1250x1250x300 where there is an hour and 15 GB of disk."""


@app.command("skill")
def skill(
    method: Annotated[
        str, typer.Option(help="names, comma-separated, or 'all'; path/to/file.py:Class@weights too")
    ] = "all",
    plan: Plans = PLANS,
    share: Annotated[
        float, typer.Option(min=0.001, max=1, callback=finite, help="of the scenes; slow methods: a tenth of it")
    ] = 1.0,
    rows: Annotated[Path, typer.Option(help="measures of every scene: a run is resumed there")] = Path("results/bench"),
    out: Annotated[Path, typer.Option(help="a table per method (.csv)")] = Path("results/bench/tables"),
    page: Annotated[Path | None, typer.Option(help="Markdown page with all tables and plots")] = None,
    background: Annotated[
        Literal["known", "unknown", "both"], typer.Option(help="rate and season taken out beforehand, or not")
    ] = "both",
    measured_only: Annotated[bool, typer.Option("--measured-only", help="run nothing: what is there")] = False,
    workers: Workers = None,
) -> None:
    """Run methods on the frozen benchmark; print and write one table each."""
    from slipbench.frozen import one_thread
    from slipbench.run import measure_skill

    one_thread()
    print(
        measure_skill(plan, method, share, rows, out, page, workers or os.cpu_count() or 1, background, measured_only)
    )


@app.command("real")
def real(
    data: Annotated[
        Path, typer.Option(envvar="SLIPBENCH_ERTA_ALE", help="cum.h5 of Erta Ale (docs/benchmarks/real.md)")
    ],
    method: Annotated[str, typer.Option(help="names, comma-separated")] = "zero,scan,matched_filter,slipscan",
    events: Annotated[int, typer.Option(min=1, max=1000, help="of each kind")] = 8,
    page: Annotated[Path | None, typer.Option(help="Markdown page with the table")] = None,
) -> None:
    """Print the skill on synthetic events in the noise of a real series (family R)."""
    from slipbench.frozen import one_thread
    from slipbench.real_run import measure_real

    one_thread()
    print(measure_real(data, method, events, page))


@app.command("gnss")
def gnss(
    stations: Annotated[Path, typer.Option(help="directory of the stations on Kilauea (docs/benchmarks/gnss.md)")],
    steps: Annotated[Path, typer.Option(help="NGL's steps.txt")],
    row: Annotated[list[str] | None, typer.Option(help="names, once for each; default: all")] = None,
    rows: Annotated[Path, typer.Option(help="measured rows are kept there (.json)")] = Path("results/bench/gnss.json"),
    page: Annotated[Path | None, typer.Option(help="Markdown page with the table")] = None,
    networks: Annotated[int, typer.Option(min=1, help="simulated networks of row twin, two events in each")] = 50,
) -> None:
    """Print what noise model, velocities, offsets and the search for transients of GNSS series reach."""
    from slipbench.frozen import one_thread
    from slipbench.gnss_page import ALL, measure
    from slipbench.gnss_rows import Places

    one_thread()
    print(measure(row or list(ALL), Places(stations, steps, networks), rows, page))


@app.command("detect")
def detect(
    plan: Annotated[Path, typer.Option("--plan", help="definition of a set")] = Path("benchmarks/skill/long.yaml"),
    events: Annotated[int, typer.Option(min=1, help="scenes with one event")] = 60,
    nulls: Annotated[
        int, typer.Option(min=1, help="scenes without one, for the threshold, and others to test it")
    ] = 60,
    planted: Annotated[
        Path | None, typer.Option(help="rows of `slipscan bench planted`: the table of the aims")
    ] = None,
    page: Annotated[Path | None, typer.Option(help="Markdown page with the tables; its figure beside it")] = None,
    workers: Workers = None,
) -> None:
    """Print what the detectors find at a false-alarm rate: the field's candidates, and the classical scan."""
    from slipbench.detection import measure_detection
    from slipbench.frozen import one_thread

    one_thread()
    print(measure_detection(plan, events, nulls, workers or os.cpu_count() or 1, page, planted))


@app.command("false-alarms")
def false_alarms(
    plan: Annotated[Path, typer.Option("--plan", help="definition of a set")] = Path("benchmarks/skill/long.yaml"),
    scenes: Annotated[int, typer.Option(min=1, help="without an event, of each noise family")] = 20,
    rows: Annotated[Path, typer.Option(help="a line a scene: a run goes on there")] = Path(
        "results/bench/false_alarms.jsonl"
    ),
    page: Annotated[Path | None, typer.Option(help="Markdown page with the table")] = None,
    workers: Workers = None,
    along_fault: Annotated[
        bool, typer.Option(help="of the search along mapped faults, one through each scene")
    ] = False,
) -> None:
    """Print how many false alarms there are against how many are stated."""
    from slipbench.false_alarms import measure_false_alarms

    print(measure_false_alarms(plan, scenes, rows, page, workers or os.cpu_count() or 1, along_fault))


@app.command("planted")
def planted(
    archives: Annotated[int, typer.Option(min=1, max=4000, help="family after family")] = 20,
    rows: Annotated[Path, typer.Option(help="a line an archive: a run goes on there")] = Path(
        "results/bench/planted.jsonl"
    ),
    page: Annotated[Path | None, typer.Option(help="Markdown page with the tables")] = None,
    plan: Annotated[Path, typer.Option("--plan", help="whose noise the archives have")] = Path(
        "benchmarks/skill/long.yaml"
    ),
    mapped: Annotated[bool, typer.Option("--mapped", help="with a map of the faults that slip, and of others")] = False,
    workers: Workers = None,
) -> None:
    """Print what a catalogue holds of planted archives of eight years, twelve events and two tracks."""
    from slipbench.planted_page import measure_planted

    print(measure_planted(archives, plan, rows, workers or os.cpu_count() or 1, page, mapped))


@app.command("source")
def source(
    scenes: Annotated[
        int, typer.Option(min=1, max=4000, help="of each noise family, and of those developed with")
    ] = 20,
    rows: Annotated[Path, typer.Option(help="a line a scene: a run goes on there")] = Path(
        "results/bench/source/rows.jsonl"
    ),
    page: Annotated[Path | None, typer.Option(help="Markdown page; default: source.md beside the rows")] = None,
    plan: Annotated[Path, typer.Option("--plan", help="whose noise the scenes have")] = Path(
        "benchmarks/skill/long.yaml"
    ),
    measured_only: Annotated[bool, typer.Option("--measured-only", help="run nothing: what is there")] = False,
    workers: Workers = None,
) -> None:
    """Print errors, coverage and types of the source stage on frozen scenes."""
    from slipbench.frozen import one_thread
    from slipbench.source_run import measure_source

    one_thread()
    words = f"slipscan bench source --scenes {scenes}" + (f" --page {page}" if page else "")
    print(measure_source(scenes, plan, rows, page, workers or os.cpu_count() or 1, measured_only, words))


@app.command("denoise")
def denoise(
    weights: Annotated[str | None, typer.Option(help="name or path; default: the shipped ones")] = None,
    plan: Plan = PLAN,
) -> None:
    """Print how fast the denoiser is on one core, and what limits it."""
    from slipbench.speed import measure_speed

    print(measure_speed(plan, weights))


@app.command("stages")
def stages(
    size: Annotated[list[str], typer.Option(help="rows x columns x epochs; more than once for several")] = SIZES,
    directory: Annotated[
        Path | None, typer.Option(help="where stacks and products lie for the time; default: the temporary directory")
    ] = None,
    nulls: Annotated[int, typer.Option(min=8, help="null stacks of each kind in the calibration")] = 8,
    options: Annotated[list[str] | None, typer.Option("--set", help="key=value of `denoise`")] = None,
    completeness: Annotated[list[str] | None, typer.Option(help="key=value of `completeness`")] = None,
    page: Annotated[Path | None, typer.Option(help="Markdown page with the table")] = None,
) -> None:
    """Print how fast every stage is and what memory it takes, as processes of the command line."""
    from slipbench.stages import Size, measure_stages

    sizes = [Size.of(text) for text in size]
    words = [word for text in size for word in ("--size", text)]
    words += [word for option in options or [] for word in ("--set", option)]
    words += [word for option in completeness or [] for word in ("--completeness", option)]
    command = " ".join(["slipscan bench stages", *words, f"--nulls {nulls}", *([f"--page {page}"] if page else [])])
    print(measure_stages(sizes, directory, nulls, options or [], completeness or [], page, command))


@app.command("bound")
def bound(config: Annotated[Path, typer.Argument(help="YAML that states every assumption")]) -> None:
    """Print the matched-filter bound: the smallest event that known template, history and noise allow."""
    from slipbench.bound import tabulate_bound
    from slipbench.frozen import one_thread

    one_thread()
    print(tabulate_bound(config))


@app.command("gnss-verdict")
def gnss_verdict(
    networks: Annotated[int, typer.Option(min=1, help="networks of stations that are drawn")] = 24,
    events: Annotated[int, typer.Option(min=1, help="in each of them")] = 10,
    seed: Annotated[int, typer.Option(min=0)] = 1,
) -> None:
    """Print how often GNSS confirms what happened and contradicts what did not (docs/benchmarks/gnss_verdict.md)."""
    from slipbench.gnss_verdict import run, section

    command = f"slipscan bench gnss-verdict --networks {networks} --events {events} --seed {seed}"
    print("\n".join(section(run(networks, events, seed), command)))


@app.command("twin")
def twin(
    results: Annotated[Path, typer.Argument(help="results directory of the workflow")],
    region: Annotated[str, typer.Argument(help="id of the simulated region")],
    out: Out,
) -> None:
    """Set InSAR, GNSS and both together beside the truth of a simulated region; print and write the page."""
    from slipbench.twin import write_page

    print(write_page(results, region, out))


@app.command("freeze")
def freeze(out: Out, plan: Plan = PLAN, workers: Workers = None) -> None:
    """Draw every scene of a new version of the benchmark and write its manifest."""
    from slipbench import frozen
    from slipbench.plan import read_plan

    frozen.one_thread()
    print(f"{frozen.freeze(read_plan(plan), out, workers or os.cpu_count() or 1)} scenes in {out}")


@app.command("verify")
def verify(
    plan: Plan = PLAN,
    share: Annotated[float, typer.Option(min=0.0001, max=1, callback=finite, help="of the scenes")] = 0.01,
    workers: Workers = None,
) -> None:
    """Draw scenes again and compare them with the manifest beside the plan."""
    from slipbench import frozen
    from slipbench.plan import manifest_of, read_plan

    frozen.one_thread()
    definition = read_plan(plan)
    manifest = manifest_of(plan, definition)
    count, rounded, differing = frozen.verify(definition, manifest, share, workers or os.cpu_count() or 1)
    if differing:
        raise SlipscanError(
            f"{len(differing)} of {count} scenes are not those of {manifest}, first {differing[0]}: the code that draws"
            " them has changed; a frozen benchmark needs a new version"
        )
    print(f"{count} scenes drawn again: {count - len(rounded)} bit for bit, {len(rounded)} but for rounding")


def score(
    catalogue: In,
    truth: Annotated[Path | None, typer.Argument(help="truth.json of a simulated region")] = None,
    known: Annotated[Path | None, typer.Option(help="published events, say config/known_events.csv")] = None,
) -> None:
    """Print found, missed and false events against a known truth, or which published events were found."""
    from slipbench.known import score_known
    from slipbench.score import score_catalogue

    if truth is None and known is None:
        raise SlipscanError("slipscan score needs something to compare with: a truth.json, or --known FILE")
    if truth is not None:
        print(score_catalogue(catalogue, truth))
    if known is not None:
        print(score_known(catalogue, known))
