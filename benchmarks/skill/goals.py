"""The project's goals beside what was measured, the table of docs/denoiser.md, from `slipscan bench skill`.

python benchmarks/skill/goals.py
"""

from pathlib import Path

import pandas as pd

from slipbench.intervals import LARGEST_SNR
from slipbench.summary import ALL

RESULTS = Path(__file__).parent / "results"
COLUMNS = {
    "slipscan-1, rate and season known": ("slipscan", "known"),
    "unknown": ("slipscan", "unknown"),
    "scan, known": ("scan", "known"),
    "prototype of 2021, known": ("rouet_leduc_2021", "known"),
    "oracle, known": ("oracle", "known"),
}
CLASSES = ("buried 3-7 km", "buried 7-12 km", "buried 12-20 km", "creep", "Mogi 2-5 km", "Mogi 5-10 km")
CLASS_GOALS = dict(zip(CLASSES, ("7", "6", "4.5", "20", "-", "-"), strict=True))
NAF = "naf-surface"
ROWS = [
    ("NRMSE, all with SNR > 5", "0.40", ALL, ALL, "nrmse", 2),
    ("NRMSE, SNR 15-30", "0.28", ALL, ALL, "nrmse_15_30", 2),
    *((f"SNR50 {name}", goal, ALL, name, "snr50", 1) for name, goal in CLASS_GOALS.items()),
    ("SNR50 all", "-20 % against the scan", ALL, ALL, "snr50", 1),
    ("found at SNR 8-12", "0.9", ALL, ALL, "detection", 2),
    ("null RMS, mm", "0.5 (at recall 0.9 at SNR 10)", ALL, ALL, "null_rms_mm", 2),
    ("found: NAF-like surface event, 6-7 mm", "0.5", ALL, NAF, "detection", 2),
    ("amplitude slope, SNR >= 8", "0.7-1.1", ALL, ALL, "slope", 2),
    *((f"SNR50 family {family}", "within 20 % of A", family, ALL, "snr50", 1) for family in "ABCD"),
    *((f"NRMSE family {family}", "within 20 % of A", family, ALL, "nrmse", 2) for family in "ABCD"),
    ("false alarms on test nulls", "0.01", ALL, ALL, "false_alarms", 3),
]


def main() -> None:
    """Print the table."""
    tables = {name: pd.read_csv(RESULTS / f"{name}.csv") for name, _ in COLUMNS.values()}
    print("| figure | goal | " + " | ".join(COLUMNS) + " |")
    print("|" + "---|" * (2 + len(COLUMNS)))
    for title, goal, family, kind, measure, digits in ROWS:
        cells = []
        for method, background in COLUMNS.values():
            table = tables[method]
            chosen = (table["family"] == family) & (table["background"] == background) & (table["kind"] == kind)
            cells.append(shown(table[chosen].iloc[0], measure, digits))
        print(f"| {title} | {goal} | " + " | ".join(cells) + " |")


def shown(row: pd.Series, measure: str, digits: int) -> str:
    """A figure, with its interval where it has one."""
    names = [measure] + [f"{measure}_{end}" for end in ("low", "high") if f"{measure}_{end}" in row]
    values = [f"{row[name]:.{digits}f}" if row[name] < LARGEST_SNR else "never" for name in names]
    return values[0] + (f" [{values[1]}, {values[2]}]" if len(values) == 3 else "")


if __name__ == "__main__":
    main()
