"""Invert the same synthetic stacks with slipscan, MintPy, dolphin and insar-rs, one after another, and compare.

    python benchmarks/inversion/compare.py [--cases full missing ...] [--repeats 3] [--before DIR] [--work DIR]

Every run is a process of its own; repeats alternate between the tools. The rows of a case replace those of the same
case in results.csv, and the tables of docs/benchmarks/inversion.md are renewed. Peers are sought in --peers
(/tmp/peers/NAME/bin/python, see the page); one that is not there is left out. --before names another source tree of
slipscan (its src directory), which is measured too.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import make_stack
import numpy as np
import pandas as pd
import read_series
from numpy.typing import NDArray

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results.csv"
RUNNERS = {
    "slipscan": "run_slipscan.py",
    "MintPy": "run_mintpy.py",
    "dolphin": "run_dolphin.py",
    "insar-rs": "run_insar_rs.py",
}
PEERS = {"MintPy": "mintpy", "dolphin": "dolphin", "insar-rs": "insar_rs"}
EVERYONE = ("slipscan", "before", "MintPy", "dolphin", "insar-rs")
WEIGHTED = ("slipscan", "before", "MintPy", "dolphin")
SEED = 5
FAR_MM = 1e-3
"""Pixels that differ by more are counted: rounding stays far below."""


@dataclass(frozen=True)
class Case:
    """One table of the page: a stack, what is asked, and of whom."""

    variant: str
    pixels: int
    weights: str = "uniform"
    norm: str = "L2"
    tools: tuple[str, ...] = EVERYONE
    threads: int = 1


CASES = {
    "full": Case("full", 512),
    "large": Case("full", 1024),
    "missing": Case("missing", 256),
    "missing-large": Case("missing", 512, tools=("slipscan", "dolphin", "insar-rs")),
    "missing-weighted": Case("missing", 256, weights="coherence", tools=WEIGHTED),
    "speckled": Case("speckled", 256),
    "varied": Case("varied", 256, weights="coherence", tools=WEIGHTED),
    "unwrapping": Case("unwrapping", 256),
    "unwrapping-L1": Case("unwrapping", 256, norm="L1", tools=("slipscan", "dolphin")),
}


def main() -> None:
    """Run the cases of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", nargs="+", choices=list(CASES), default=list(CASES))
    parser.add_argument("--tools", nargs="+", choices=EVERYONE, default=list(EVERYONE))
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--before", type=Path, help="src directory of another slipscan")
    parser.add_argument("--state", default="", help="commit of slipscan, where PYTHONPATH names a copy of its source")
    parser.add_argument("--before-state", default="", help="its commit")
    parser.add_argument("--work", type=Path, default=Path("/tmp/slipscan-inversion"))
    parser.add_argument("--peers", type=Path, default=Path("/tmp/peers"))
    parser.add_argument("--limit-s", type=float, default=900, help="a run that takes longer is given up")
    options = parser.parse_args()
    pythons = {"slipscan": sys.executable} | {t: str(options.peers / d / "bin" / "python") for t, d in PEERS.items()}
    if options.before:
        pythons["before"] = sys.executable
    for name in options.cases:
        case = CASES[name]
        tools = [t for t in case.tools if t in options.tools and Path(pythons.get(t, "-")).exists()]
        stack = options.work / f"{case.variant}-{case.pixels}"
        if not (stack / "stack.json").exists():
            make_stack.make(stack, case.variant, case.pixels, SEED)
        rows = []
        for repeat in range(options.repeats):
            for tool in tools:
                row = run(tool, pythons[tool], case, stack, options)
                rows.append({"case": name, "repeat": repeat} | row)
                print(name, repeat, tool, f"{row['wall_s']:.2f} s", flush=True)
        table = summary(pd.DataFrame(rows), stack, options.work / "out")
        merge(table)
        print(table.drop(columns=["settings", "versions"]).to_string(), flush=True)


def run(tool: str, python: str, case: Case, stack: Path, options: argparse.Namespace) -> dict[str, object]:
    """Run one tool once in a fresh process; returns what it says, and the time of the whole process."""
    runner = HERE / RUNNERS["slipscan" if tool == "before" else tool]
    out = options.work / "out" / tool
    environment = dict(os.environ)
    if tool == "before":
        environment["PYTHONPATH"] = str(options.before)
    command = [python, str(runner), str(stack), str(out), "--weights", case.weights, "--norm", case.norm]
    start, load = time.perf_counter(), os.getloadavg()[0]
    done = subprocess.run(
        [*command, "--threads", str(case.threads)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=options.limit_s,
        check=False,
    )
    process_s = time.perf_counter() - start
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    said = json.loads(done.stdout.strip().splitlines()[-1])
    versions = " ".join(f"{name} {version}" for name, version in said.pop("versions").items())
    state = {"slipscan": options.state or source_state(), "before": options.before_state}.get(tool, "")
    return said | {"tool": tool, "process_s": process_s, "load": load, "versions": versions, "state": state}


def source_state() -> str:
    """Name the commit of this checkout, with a plus where the package differs from it."""
    git = ["git", "-C", str(HERE)]
    commit = subprocess.run([*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True)
    differs = subprocess.run([*git, "diff", "--quiet", "HEAD", "--", ":/src/slipscan"], check=False)
    return commit.stdout.strip() + ("+" if differs.returncode else "")


def summary(rows: pd.DataFrame, stack: Path, out: Path) -> pd.DataFrame:
    """Summarise the repeats of a case, a row for each tool, with differences of the series (of the last repeat)."""
    truth = np.load(stack / "truth.npy")
    about = json.loads((stack / "stack.json").read_text(encoding="utf-8"))
    series = {tool: read_series.READERS[tool](out / tool, len(truth)) for tool in rows["tool"].unique()}
    for values in series.values():
        values[:, about["reference"][0], about["reference"][1]] = np.nan
    table = []
    for tool, group in rows.groupby("tool", sort=False):
        first = group.iloc[0]
        row = {key: first[key] for key in ("case", "variant", "pixels", "weights", "norm", "threads", "tool")}
        row |= {"repeats": len(group), "wall_min_s": group["wall_s"].min(), "wall_median_s": group["wall_s"].median()}
        row |= {f"{key}_min_s": group[f"{key}_s"].min() for key in ("solve", "processor", "import", "process")}
        row |= {"peak_mib": group["peak_mib"].max(), "imported_mib": group["imported_mib"].max()}
        row |= differences(series[str(tool)], series.get("slipscan"), truth)
        row |= {"distinct_sets": about["distinct_sets"], "load": f"{group['load'].min():.1f}-{group['load'].max():.1f}"}
        row |= {
            "state": first["state"],
            "settings": first["settings"],
            "versions": first["versions"],
            "machine": machine(),
        }
        table.append(row | {"measured": datetime.now(UTC).strftime("%Y-%m-%d %H:%M")})
    return pd.DataFrame(table)


def differences(
    values: NDArray[np.float32], ours: NDArray[np.float32] | None, truth: NDArray[np.float32]
) -> dict[str, float]:
    """Compare a series (time, y, x) m with slipscan's and with the truth, where both are whole; mm."""
    whole = np.isfinite(values).all(axis=0)
    error = 1e3 * (values - truth)[1:, whole].astype(np.float64)
    found = {"whole_share": float(whole.mean()), "rms_error_mm": float(np.sqrt((error**2).mean()))}
    found["largest_error_mm"] = float(np.abs(error).max())
    if ours is not None:
        common = whole & np.isfinite(ours).all(axis=0)
        difference = 1e3 * np.abs(values - ours)[1:, common]
        found["largest_difference_mm"] = float(difference.max())
        found["median_difference_mm"] = float(np.median(difference))
        found["far_pixels"] = int((difference.max(axis=0) > FAR_MM).sum())
        found["common_share"] = float(common.mean())
    return found


def machine() -> str:
    """Name processor and cores."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = [line for line in cpuinfo.read_text(encoding="utf-8").splitlines() if line.startswith("model name")]
        model = lines[0].split(":")[1].strip() if lines else model
    return f"{model}, {os.cpu_count()} cores"


def merge(table: pd.DataFrame) -> None:
    """Replace the rows of the same case and tool in results.csv."""
    if RESULTS.exists():
        old = pd.read_csv(RESULTS)
        same = old.set_index(["case", "tool"]).index.isin(table.set_index(["case", "tool"]).index)
        table = pd.concat([old[~same], table], ignore_index=True)
    order = {name: number for number, name in enumerate(CASES)}
    order |= {tool: number for number, tool in enumerate(EVERYONE)}
    table = table.sort_values(["case", "tool"], key=lambda column: column.map(order))
    table.to_csv(RESULTS, index=False, float_format="%.6g", lineterminator="\n")


if __name__ == "__main__":
    main()
