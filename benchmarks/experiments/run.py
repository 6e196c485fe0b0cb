"""Two questions at one small budget: which noise training must know, and which ideas of the network carry it.

    python benchmarks/experiments/run.py train NAME        (one core; goes on from its checkpoint)
    python benchmarks/experiments/run.py measure NAME      (a twentieth of slipbench's test scenes)
    python benchmarks/experiments/run.py page              (docs/benchmarks/experiments.md from the rows in rows/)

Weights and logs are kept in results/experiments; `NAME-2` and so on are further seeds of NAME.
"""

import argparse
import contextlib
import dataclasses
import functools
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

import matplotlib as mpl
import numpy as np
import pandas as pd
import pixel_series
import torch
from matplotlib import pyplot as plt
from safetensors.torch import save_file

from slipbench import network as method
from slipbench import skill, summary
from slipbench.frozen import load_scene, one_thread, read_manifest, rows_of
from slipbench.measures import measure
from slipbench.plan import SkillPlan, read_plan
from slipscan.denoise import local_history, objective, predict, pretrained
from slipbench.estimate import Estimate
from slipscan.field import Observation
from slipscan.denoise.front_end import Window
from slipscan.denoise.network import Closed, closed_form
from slipscan.denoise.recipe import Trainer
from slipscan.denoise.train import train
from slipscan.settings import TrainSettings

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
PLAN = HERE.parent / "skill" / "slipbench.yaml"
WORK = ROOT / "results" / "experiments"
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
    weights
        of another experiment, where nothing is trained
    rounds
        of map and history at inference
    scanned
        whether the first history comes from step statistics, else it is one ramp over the window
    spatial
        whether it is the network; else the temporal model of a pixel
    """

    title: str
    settings: dict[str, Any] = dataclasses.field(default_factory=dict)
    weights: str | None = None
    rounds: int = predict.ROUNDS
    scanned: bool = True
    spatial: bool = True


NOISE = {
    "white": Experiment("white", {"noise": "white"}),
    "gaussian": Experiment("Gaussian covariance", {"noise": "gaussian"}),
    "power-law": Experiment("power law", {"noise": "power_law"}),
    "stratified": Experiment("+ seasonal stratified delay", {"noise": "stratified"}),
    "heteroscedastic": Experiment("+ heteroscedastic, anisotropic", {"noise": "heteroscedastic"}),
    "full": Experiment("+ ramps (ionosphere), unwrapping, reference"),
}
IDEAS = {
    "full": Experiment("this network: map, history, map"),
    "one-round": Experiment("one round: no second history", weights="full", rounds=1),
    "plug-and-play": Experiment("plug-and-play: four rounds", weights="full", rounds=4),
    "no-scan": Experiment("without step statistics", scanned=False),
    "pixel-series": Experiment("temporal model of a pixel", spatial=False),
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
    chosen = parser.parse_args()
    one_thread()
    if chosen.step == "page":
        PAGE.write_text(page(), encoding="utf-8")
        return
    name, seed = re.fullmatch(r"(.*?)(?:-(\d+))?", chosen.name).groups()  # type: ignore[union-attr]
    experiment = (NOISE | IDEAS)[name]
    with patched(experiment):
        if chosen.step == "train":
            train_one(chosen.name, experiment, int(seed or 1))
        else:
            (HERE / "rows").mkdir(exist_ok=True)
            rows = measured(estimator(chosen.name, experiment))
            rows.to_parquet(HERE / "rows" / f"{chosen.name}.parquet", compression="zstd")
            if experiment.weights is None:
                (HERE / "logs").mkdir(exist_ok=True)
                shutil.copy(WORK / f"{chosen.name}.csv", HERE / "logs")


def patched(experiment: Experiment) -> Any:
    """The network with parts of it left out."""
    if experiment.scanned:
        return patch.object(predict, "clean", functools.partial(predict.clean, rounds=experiment.rounds))
    left_out = contextlib.ExitStack()
    for module in (objective, predict):
        left_out.enter_context(patch.object(module, "closed_form", one_ramp))
    return left_out


def one_ramp(window: Window) -> Closed:
    """What every image needs, the first history being a ramp from the first to the last epoch everywhere."""
    closed = closed_form(window)
    ramp = torch.linspace(0, 1, len(window.days))[:, None]
    shape = closed.first.std.shape
    return dataclasses.replace(closed, first=local_history.expected(window, ramp, torch.ones(1, *shape)))


def train_one(name: str, experiment: Experiment, seed: int) -> None:
    """Train to the end of the budget."""
    WORK.mkdir(parents=True, exist_ok=True)
    settings = BUDGET.model_copy(update={**experiment.settings, "name": name, "seed": BUDGET.seed + seed - 1})
    out = WORK / f"{name}.safetensors"
    if experiment.spatial:
        train(settings, out)
        return
    torch.manual_seed(settings.seed)
    task = pixel_series.task(settings)
    Trainer(task, settings, out.with_suffix(".checkpoint")).run()
    save_file(task.network.state_dict(), out)


def estimator(name: str, experiment: Experiment) -> Callable[[Observation], Estimate]:
    """The trained model, as a method of the benchmark."""
    path = WORK / f"{experiment.weights or name}.safetensors"
    if not experiment.spatial:
        return functools.partial(pixel_series.estimate, network=pixel_series.load(path))
    return functools.partial(method.estimate, weights=pretrained.load(str(path)))


def measured(estimate: Callable[[Observation], Estimate]) -> pd.DataFrame:
    """A row for each of a share of slipbench's scenes, rate and season known."""
    plan, manifest = benchmark()
    rows = []
    for row in rows_of(skill.selected(manifest, SHARE)):
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
    reference = summary.judged(pd.read_parquet(HERE / "rows" / "full.parquet"), manifest, plan)
    head = ["", "events", *(f"NRMSE {family}" for family in plan.families), "NRMSE all", "against 'full'"]
    head += [*(f"SNR50 {family}" for family in plan.families), "SNR50 all", "found, against 'full'", "false alarms"]
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    wanted: list[tuple[str, list[Path]]] = []
    for name, experiment in experiments.items():
        for path in sorted((HERE / "rows").glob(f"{name}*.parquet")):
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
    low, high = np.percentile(centre(own[drawn], axis=1) - centre(other[drawn], axis=1), summary.INTERVAL)
    return f"{centre(own) - centre(other):+.2f} [{low:+.2f}, {high:+.2f}]"


def interval(row: pd.Series, name: str, digits: int) -> str:
    """Value with its interval."""
    return "{} [{}, {}]".format(*(short(row[part], digits) for part in (name, f"{name}_low", f"{name}_high")))


def short(value: float, digits: int = 1) -> str:
    """A number, or that it was never reached."""
    return f"{value:.{digits}f}" if value < summary.LARGEST_SNR else "never"


def figure(path: Path) -> None:
    """Share of the events' power that is explained, against training time."""
    mpl.use("Agg")
    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    for name, experiment in IDEAS.items():
        log = HERE / "logs" / f"{name}.csv"
        if log.exists():
            frame = pd.read_csv(log)
            axes.plot(frame["minutes"], frame["explained"].rolling(4, 1).mean(), label=experiment.title)
    axes.set(xlabel="training time, minutes (one core)", ylabel="share of power explained", ylim=(0, 1))
    axes.legend(frameon=False)
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
