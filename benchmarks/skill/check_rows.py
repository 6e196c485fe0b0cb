"""Whether the rows that are kept are those of today's code.

Rows are kept under a method's name and version (`rows/NAME/v1`). This measures a few scenes of every method again and
says where figures but the time taken differ by more than a millionth: the version of such a method has to be raised
(`slipbench.baselines.registry.Method`). Another kind of processor rounds otherwise, the network in bfloat16 above all:
there `--relative 0.01` is the measure.

    python benchmarks/skill/check_rows.py benchmarks/skill/rows [--scenes 8] [--method NAME,...] [--relative 1e-6]
        [--plan benchmarks/skill/long.yaml]
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import pandas as pd

from slipbench import methods, skill
from slipbench.frozen import load_scene, one_thread, read_manifest, rows_of
from slipbench.measures import measure
from slipbench.plan import SkillPlan, manifest_of, read_plan

PLAN = Path(__file__).parent / "slipbench.yaml"
NOT_COMPARED = ("id", "background", "ms")


def main() -> int:
    """Compare the rows of the chosen methods; 1 where some differ."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("rows", type=Path)
    parser.add_argument("--scenes", type=int, default=8)
    parser.add_argument("--method", default="all")
    parser.add_argument("--relative", type=float, default=1e-6, help="largest relative difference")
    parser.add_argument("--plan", type=Path, default=PLAN, help="the set")
    chosen = parser.parse_args()
    one_thread()
    plan = read_plan(chosen.plan)
    manifest = read_manifest(manifest_of(chosen.plan, plan), plan)
    differing = 0
    for method in methods.chosen(chosen.method):
        table = skill.rows_of_method(chosen.rows, method)
        table = table[table["id"].isin(set(manifest["id"]))]
        if not len(table):
            print(f"{method.name} version {method.version}: not measured yet")
            continue
        drawn = table.sample(min(chosen.scenes, len(table)), random_state=1)
        records = drawn.to_dict("records")
        other = [name for row in records for name in differences(method, row, plan, manifest, chosen.relative)]
        differing += bool(other)
        said = f"other figures ({', '.join(sorted(set(other)))})" if other else "as kept"
        print(f"{method.name} version {method.version}: {len(drawn)} of {len(table)} rows measured again: {said}")
    return 1 if differing else 0


def differences(
    method: methods.Method, kept: dict[str, object], plan: SkillPlan, manifest: pd.DataFrame, relative: float
) -> list[str]:
    """Names of the figures of one row that come out otherwise."""
    (row,) = rows_of(manifest[manifest["id"] == kept["id"]])
    scene = load_scene(row, plan)
    found = measure(scene, methods.answer(method, scene, scene.observation(skill.BACKGROUNDS[str(kept["background"])])))
    return [
        name
        for name, value in pd.Series(found).drop(list(NOT_COMPARED), errors="ignore").items()
        if not np.isclose(value, kept[name], rtol=relative, atol=1e-2 * relative, equal_nan=True)
    ]


if __name__ == "__main__":
    sys.exit(main())
