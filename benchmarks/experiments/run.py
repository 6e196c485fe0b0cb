"""Two questions at one small budget: which noise training must know, and which ideas of the network carry it.

    python benchmarks/experiments/run.py train NAME        (one core; goes on from its checkpoint)
    python benchmarks/experiments/run.py measure NAME      (a twentieth of slipbench's test scenes)
    python benchmarks/experiments/run.py page              (docs/benchmarks/experiments.md from the rows in rows/)

Weights and logs are kept in results/experiments; `NAME-2` and so on are further seeds of NAME.
"""

import argparse
import dataclasses
import functools
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib import pyplot as plt

from slipbench import intervals, methods, skill, summary
from slipbench.estimate import Estimate
from slipbench.frozen import load_scene, one_thread, read_manifest, rows_of
from slipbench.measures import measure
from slipbench.plan import SkillPlan, read_plan
from slipscan.denoise.registry import build
from slipscan.denoise.training.run import train
from slipscan.field import Observation
from slipscan.settings import DenoiseSettings, TrainSettings

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PLAN = HERE.parent / "skill" / "slipbench.yaml"
WORK = ROOT / "results" / "experiments"
ROWS, LOGS = HERE / "rows", HERE / "logs"
PAGE = ROOT / "docs" / "benchmarks" / "experiments.md"
SHARE: Final = 0.05
RESAMPLES: Final = 400
BUDGET = TrainSettings(
    seed=31, steps=1500, batch=4, width=24, pixels=96, learning_rate=2e-3, decay_share=0.4, easy_scenes=3000,
    validation_scenes=30,
)  # fmt: skip


@dataclass(frozen=True)
class Experiment:
    """One row of a table.

    Attributes
    ----------
    title
        in the table
    settings
        that differ from the budget's
    options
        of the denoiser, in training (where it has them there) and afterwards
    """

    title: str
    settings: dict[str, Any] = dataclasses.field(default_factory=dict)
    options: dict[str, Any] = dataclasses.field(default_factory=dict)


NOISE = {
    "white": Experiment("white", {"noise": "white"}),
    "gaussian": Experiment("Gaussian covariance", {"noise": "gaussian"}),
    "power-law": Experiment("power law", {"noise": "power_law"}),
    "stratified": Experiment("+ seasonal stratified delay", {"noise": "stratified"}),
    "heteroscedastic": Experiment("+ heteroscedastic, anisotropic", {"noise": "heteroscedastic"}),
    "full": Experiment("+ ramps (ionosphere), unwrapping, reference"),
}
IDEAS = {
    "full": Experiment("this network"),
    "pixel-series": Experiment("temporal model of a pixel", {"network": "pixel_series", "width": 32}),
}
KEPT = {
    "rouet_leduc_2021": "prototype of 2021 (4,008 scenes)",
    "parametric_fit": "parametric fit of a pixel (no training)",
    "scan": "whitened multi-scale scan (no training)",
}
"""Methods of slipbench whose rows are taken from there."""


def main() -> None:
    """Train, measure, or write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("step", choices=("train", "measure", "page"))
    parser.add_argument("name", nargs="?", default="full")
    parser.add_argument("--steps", type=int, default=BUDGET.steps, help="of the training: fewer, to try it")
    parser.add_argument("--share", type=float, default=SHARE, help="of slipbench's test scenes")
    chosen = parser.parse_args()
    one_thread()
    if chosen.step == "page":
        PAGE.write_text(page(), encoding="utf-8")
        return
    name, seed = re.fullmatch(r"(.*?)(?:-(\d+))?", chosen.name).groups()  # type: ignore[union-attr]
    experiment = (NOISE | IDEAS)[name]
    if chosen.step == "train":
        train_one(chosen.name, experiment, int(seed or 1), chosen.steps)
        return
    ROWS.mkdir(exist_ok=True)
    rows = measured(estimator(chosen.name, experiment), chosen.share)
    rows.to_parquet(ROWS / f"{chosen.name}.parquet", compression="zstd")
    LOGS.mkdir(exist_ok=True)
    shutil.copy(WORK / f"{chosen.name}.csv", LOGS)


def train_one(name: str, experiment: Experiment, seed: int, steps: int) -> None:
    """Train to the end of the budget."""
    WORK.mkdir(parents=True, exist_ok=True)
    own = {"name": name, "seed": BUDGET.seed + seed - 1, "steps": steps, "options": experiment.options}
    settings = BUDGET.model_copy(update={**experiment.settings, **own})
    while train(settings, WORK / f"{name}.safetensors") is None:
        pass


def estimator(name: str, experiment: Experiment) -> Callable[[Observation], Estimate]:
    """The trained model, as a method of the benchmark."""
    settings = DenoiseSettings(
        method=experiment.settings.get("network", BUDGET.network),
        weights=str(WORK / f"{name}.safetensors"),
        device="cpu",
        options=experiment.options,
    )
    return functools.partial(methods.scored, denoiser=build(settings))


def measured(estimate: Callable[[Observation], Estimate], share: float) -> pd.DataFrame:
    """A row for each of a share of slipbench's scenes, rate and season known."""
    plan, manifest = benchmark()
    rows = []
    for row in rows_of(skill.selected(manifest, share)):
        scene = load_scene(row, plan)
        found = estimate(scene.observation(skill.BACKGROUNDS["known"]))
        rows.append({"id": row.id, "background": "known", "ms": 0.0, **measure(scene, found)})
    return pd.DataFrame(rows)


def benchmark() -> tuple[SkillPlan, pd.DataFrame]:
    """Plan and manifest of slipbench."""
    plan = read_plan(PLAN)
    return plan, read_manifest(PLAN.with_name("scenes.csv"), plan)


def page() -> str:
    """The page of the results, Markdown; and its figure."""
    text = (HERE / "page.md").read_text(encoding="utf-8")
    figure(PAGE.with_name("experiments_training.png"))
    return text.replace("NOISE_TABLE", table(NOISE, {})).replace("IDEAS_TABLE", table(IDEAS, KEPT))


def table(experiments: dict[str, Experiment], kept: dict[str, str]) -> str:
    """Rows of experiments and of further seeds, each beside the first of them named 'full'."""
    plan, manifest = benchmark()
    reference = summary.judged(pd.read_parquet(ROWS / "full.parquet"), manifest, plan)
    head = ["", "events", *(f"NRMSE {family}" for family in plan.families), "NRMSE all", "against 'full'"]
    head += [*(f"SNR50 {family}" for family in plan.families), "SNR50 all", "found, against 'full'", "false alarms"]
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    wanted: list[tuple[str, list[Path]]] = []
    for name, experiment in experiments.items():
        for path in sorted(ROWS.glob(f"{name}*.parquet")):
            again = re.fullmatch(rf"{name}(-\d+)?", path.stem)
            if again:
                wanted.append((experiment.title + (f", seed {again[1][1:]}" if again[1] else ""), [path]))
    wanted += [(title, sorted((HERE.parent / "skill/rows" / name).glob("*/*.parquet"))) for name, title in kept.items()]
    for title, paths in wanted:
        rows = pd.concat([pd.read_parquet(path) for path in paths])
        rows = rows[(rows["background"] == "known") & rows["id"].isin(set(reference["id"]))]
        judged = summary.judged(rows, manifest, plan)
        found = summary.summarise(judged, plan)
        found = found[found["kind"] == summary.ALL].set_index("family")
        cells = [title, str(int(found.loc[summary.ALL, "events"]))]
        cells += [f"{found.loc[family, 'nrmse']:.2f}" for family in plan.families]
        cells += [interval(found.loc[summary.ALL], "nrmse", 2), paired(judged, reference, "nrmse")]
        cells += [short(found.loc[family, "snr50"]) for family in plan.families]
        cells += [interval(found.loc[summary.ALL], "snr50", 1), paired(judged, reference, "found")]
        cells += [f"{found.loc[summary.ALL, 'false_alarms']:.3f}"]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def paired(judged: pd.DataFrame, reference: pd.DataFrame, name: str) -> str:
    """Difference of the median NRMSE, or of the share found, on the same events of SNR > 5; 5-95 % bootstrap."""
    events = judged[judged["is_class"] & (judged["snr"] > summary.NRMSE_FROM_SNR)]
    both = events.merge(reference[["id", name]], on="id", suffixes=("", "_reference"))
    own, other = (both[column].to_numpy(float) for column in (name, f"{name}_reference"))
    centre = np.median if name == "nrmse" else np.mean
    drawn = np.random.default_rng(0).integers(len(both), size=(RESAMPLES, len(both)))
    low, high = np.percentile(centre(own[drawn], axis=1) - centre(other[drawn], axis=1), intervals.INTERVAL)
    return f"{centre(own) - centre(other):+.2f} [{low:+.2f}, {high:+.2f}]"


def interval(row: pd.Series, name: str, digits: int) -> str:
    """Value with its interval."""
    return "{} [{}, {}]".format(*(short(row[part], digits) for part in (name, f"{name}_low", f"{name}_high")))


def short(value: float, digits: int = 1) -> str:
    """A number, or that it was never reached."""
    return f"{value:.{digits}f}" if value < intervals.LARGEST_SNR else "never"


def figure(path: Path) -> None:
    """Share of the events' power that is explained, against training time."""
    mpl.use("Agg")
    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    for name, experiment in IDEAS.items():
        log = LOGS / f"{name}.csv"
        if log.exists():
            frame = pd.read_csv(log)
            axes.plot(frame["minutes"], frame["explained"].rolling(4, 1).mean(), label=experiment.title)
    axes.set(xlabel="training time, minutes (one core)", ylabel="share of power explained", ylim=(0, 1))
    axes.legend(frameon=False)
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
