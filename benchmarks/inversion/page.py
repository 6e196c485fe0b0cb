"""Renew the tables of docs/benchmarks/inversion.md from results.csv and floor.json; the prose there is kept.

python benchmarks/inversion/page.py
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pandas as pd

HERE = Path(__file__).resolve().parent
PAGE = HERE.parents[1] / "docs" / "benchmarks" / "inversion.md"
COLUMNS = {
    "tool": "",
    "wall": "wall, s",
    "processor": "processor, s",
    "solve": "solver, s",
    "peak": "peak memory, MiB",
    "process": "with start, s",
    "ratio": "processor time over slipscan's",
    "difference": "difference from slipscan, mm: largest (median), pixels over 0.001",
    "error": "RMS error, mm (largest)",
    "whole": "whole series",
}


def main() -> None:
    """Replace what stands between the markers `<!-- NAME -->` and `<!-- end -->`."""
    rows = pd.read_csv(HERE / "results.csv")
    blocks = {f"table {name}": table(group) for name, group in rows.groupby("case", sort=False)}
    blocks["conditions"] = conditions(rows)
    blocks["floor"] = floor(json.loads((HERE / "floor.json").read_text(encoding="utf-8")))
    text = PAGE.read_text(encoding="utf-8")
    for name in re.findall(r"<!-- (?!end)(.*?) -->", text):
        block = blocks.pop(name, "(not measured)")
        text = re.sub(
            rf"(<!-- {re.escape(name)} -->\n).*?(<!-- end -->)",
            lambda m, b=block: m[1] + b + "\n" + m[2],
            text,
            flags=re.S,
        )
    if blocks:
        print("measured, but not on the page:", ", ".join(blocks))
    PAGE.write_text(text, encoding="utf-8")


def table(rows: pd.DataFrame) -> str:
    """Return the Markdown table of one case."""
    ours = rows[rows["tool"] == "slipscan"]["processor_min_s"]
    lines = [f"| {' | '.join(COLUMNS.values())} |", "|---" * len(COLUMNS) + "|"]
    for _, row in rows.iterrows():
        state = f" ({row['state']})" if isinstance(row["state"], str) else ""
        cells = {
            "tool": ("slipscan, before" if row["tool"] == "before" else row["tool"]) + state,
            "wall": f"{row['wall_min_s']:.2f}" + (f" ({row['wall_median_s']:.2f})" if row["repeats"] > 1 else ""),
            "processor": f"{row['processor_min_s']:.2f}",
            "solve": "" if pd.isna(row["solve_min_s"]) else f"{row['solve_min_s']:.2f}",
            "peak": f"{row['peak_mib']:.0f}",
            "process": f"{row['process_min_s']:.1f}",
            "ratio": "" if ours.empty else f"{row['processor_min_s'] / ours.iloc[0]:.2f}",
            "difference": "",
            "error": f"{row['rms_error_mm']:.3f} ({row['largest_error_mm']:.1f})",
            "whole": f"{100 * row['whole_share']:.1f} %",
        }
        if row["tool"] != "slipscan" and not pd.isna(row.get("largest_difference_mm")):
            cells["difference"] = f"{row['largest_difference_mm']:.2g} ({row['median_difference_mm']:.1g})"
            cells["difference"] += f", {row['far_pixels']:.0f}"
        lines.append(f"| {' | '.join(cells.values())} |")
    first = rows.iloc[0]
    side = first["pixels"]
    said = f"{side} x {side} pixels, different sets of valid interferograms: {first['distinct_sets']}"
    repeats = f"least of {rows['repeats'].min()} runs each" if rows["repeats"].max() > 1 else "one run each"
    load = rows["load"].str.split("-", expand=True).astype(float)
    return "\n".join(
        [*lines, "", f"({said}; {first['threads']} thread; {repeats}; load {load[0].min():.1f} to {load[1].max():.1f})"]
    )


def conditions(rows: pd.DataFrame) -> str:
    """Return machine, versions and settings as a list."""
    lines = [f"- Machine: {', '.join(rows['machine'].unique())}; measured {rows['measured'].min()} to "]
    lines[0] += f"{rows['measured'].max()} (UTC)."
    for tool, group in rows.groupby("tool", sort=False):
        if tool == "before":
            continue
        # What differs between the cases stands in their headings.
        common = group["settings"].str.replace(r"(--set (weights|norm)=\w+ ?|-w \w+ | ?--threads \d+)", "", regex=True)
        settings = "; ".join(f"`{one}`" for one in common.drop_duplicates())
        lines.append(f"- {tool}: {group['versions'].iloc[0]}. {settings}")
    return "\n".join(lines)


def floor(found: dict[str, float]) -> str:
    """Return the floor as a table."""
    rows = [
        ("memory bandwidth (copy, one core)", f"{found['copy_gb_s']:.1f} GB/s"),
        ("product of the estimator with the data, float64 / float32", "{gflop_s_float64:.0f} / {gflop_s_float32:.0f}"),
        ("phase in, displacement and deviation out, once through memory", "{gb_moved:.2f} GB: {bytes_s:.3f} s"),
        ("one estimator times all pixels, float64", "{gflop:.2f} Gflop: {product_s:.3f} s"),
        ("reading the phase alone: slipscan's Zarr (compressed) / .npy", "{read_zarr_s:.2f} s / {read_npy_s:.2f} s"),
        ("writing displacement and deviation alone (Zarr, compressed, flushed)", "{write_zarr_s:.2f} s"),
    ]
    text = ["| limit | measured |", "|---|---|", *(f"| {what} | {value.format(**found)} |" for what, value in rows)]
    return "\n".join(text).replace("float64 / float32 |", "float64 / float32, Gflop/s |")


if __name__ == "__main__":
    main()
