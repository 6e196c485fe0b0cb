"""Keep rows across a change of code that changes no result.

Rows are kept under the digest of a method's code, so that an edit of a shared module starts every method afresh,
whether or not it matters. This measures a few scenes of every method again and, where all figures but the time taken
are the same to a millionth (sums differ in the last bit between runs), files all rows of a method under the digest of
today's code. Where one differs, the rows stay where they are. Another kind of processor rounds otherwise, the network
in bfloat16 above all: there `--relative 0.01` is the measure.

    python benchmarks/skill/carry_rows.py ROWS [--scenes 8] [--method NAME,...] [--relative 1e-6]
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import pandas as pd

from slipbench import methods, skill
from slipbench.frozen import load_scene, one_thread, read_manifest, rows_of
from slipbench.measures import measure
from slipbench.plan import read_plan

PLAN = Path(__file__).parent / "slipbench.yaml"
NOT_COMPARED = ("id", "background", "ms")


def main() -> int:
    """Carry the rows of the chosen methods; 1 where some stayed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("rows", type=Path)
    parser.add_argument("--scenes", type=int, default=8)
    parser.add_argument("--method", default="all")
    parser.add_argument("--relative", type=float, default=1e-6, help="largest relative difference")
    chosen = parser.parse_args()
    one_thread()
    differing = 0
    for method in methods.chosen(chosen.method):
        wanted = skill._folder(chosen.rows, method)
        found = sorted(path for path in (chosen.rows / method.name).glob("*/*.parquet") if path.parent != wanted)
        if not found:
            continue
        table = pd.concat([pd.read_parquet(path) for path in found]).drop_duplicates(["id", "background"])
        if not same(method, table.sample(min(chosen.scenes, len(table)), random_state=1), chosen.relative):
            print(f"{method.name}: today's code gives other figures, {len(table)} rows stay where they are")
            differing += 1
            continue
        wanted.mkdir(parents=True, exist_ok=True)
        for path in found:
            path.rename(wanted / f"{path.parent.name}-{path.name}")
        print(f"{method.name}: {len(table)} rows are those of today's code ({chosen.scenes} measured again)")
    return 1 if differing else 0


def same(method: methods.Method, kept: pd.DataFrame, relative: float) -> bool:
    """Whether measuring some rows again gives the same figures."""
    plan = read_plan(PLAN)
    manifest = read_manifest(PLAN.with_name("scenes.csv"), plan)
    by_id = {row.id: row for row in rows_of(manifest[manifest["id"].isin(set(kept["id"]))])}
    for old in kept.to_dict("records"):
        scene = load_scene(by_id[old["id"]], plan)
        estimate = methods.answer(method, scene, scene.observation(skill.BACKGROUNDS[old["background"]]))
        for name, value in measure(scene, estimate).items():
            if name not in NOT_COMPARED and not np.isclose(
                value, old[name], rtol=relative, atol=1e-2 * relative, equal_nan=True
            ):
                return False
    return True


if __name__ == "__main__":
    sys.exit(main())
