"""The page of the North Anatolian test: what InSAR, GNSS and both say of each planted event, beside the truth."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from scipy.optimize import minimize_scalar

from slipbench.score import read_truth, score
from slipscan.atomic import write_text
from slipscan.catalogue import geopackage
from slipscan.errors import SlipscanError
from slipscan.gnss.agreement import COLUMNS as AGREEMENT
from slipscan.gnss.stage import read_comparison
from slipscan.outputs import check_outputs, text_kind
from slipscan.texts import read_text

Row = dict[str, Any]
TITLE: Final = "# The North Anatolian test"
KIND = text_kind("the page of a twin", TITLE)


def write_page(results: Path, region: str, out: Path) -> str:
    """Write the page of a simulated region as Markdown; returns it.

    Parameters
    ----------
    results
        directory of the workflow's results: catalogue.gpkg and {region}/truth.json, gnss.parquet, agreement.csv
    region
        id of the region
    out
        the page

    Raises
    ------
    SlipscanError
        a file is missing or is something else
    """
    directory = Path(results) / region
    check_outputs([(out, KIND)], [results])
    events, _, scans = geopackage.read(Path(results) / "catalogue.gpkg")
    if region not in set(scans["region"]):
        raise SlipscanError(f"the catalogue of {results} holds no scan of region {region}: run it first")
    truth = read_truth(directory / "truth.json")
    result = score(events, truth)
    ours = {row["event_id"]: row for row in events.drop(columns="geometry").to_dict("records")}
    text = "\n".join([
        TITLE, "", f"Region {region}, scenario {truth.get('scenario', '')}. {_sentence(result)}", "",
        "InSAR-only, GNSS-only and joint magnitudes stand beside the planted one; GNSS-only is measured at the times"
        " that the days show near InSAR's, and held near InSAR's fault. The verdict knows InSAR's source alone.", "",
        *_planted(result, truth, ours), "", *_others(result, ours), "",
        *_offsets(read_comparison(directory / "gnss.parquet")), "", *_agreement(directory / "agreement.csv"), "",
    ])  # fmt: skip
    write_text(out, text, KIND)
    return text


def _sentence(result: Row) -> str:
    planted = result["found"] + result["missed"]
    return f"{result['found']} of {planted} planted events found; {result['false']} other rows."


def _planted(result: Row, truth: Row, ours: dict[str, Row]) -> list[str]:
    """A row for every planted event."""
    found = {row["truth"]: row for row in result["rows"] if row["result"] == "found"}
    rows = []
    for one in sorted(truth["events"], key=lambda event: event["t50"]):
        head = [one["id"], one["type"].replace("_", " "), one["t50"], f"{one['mw']:.2f}", f"{one['depth_km']:.1f}"]
        if one["id"] not in found:
            rows.append([*head, "missed", *["-"] * 8])
            continue
        event = ours[found[one["id"]]["event_id"]]
        rows.append([
            *head, event["event_id"], f"{found[one['id']]['t50_error_d']:+.0f}", _value(event["mw"], 2),
            _value(event["gnss_only_mw"], 2), _value(event["joint_mw"], 2),
            f"{_value(event['depth_km'], 1)} / {_value(event['joint_depth_km'], 1)}", event["gnss_verdict"],
            _with_std(event["gnss_size"], event["gnss_size_std"]), event["gnss_t50"] or "-",
        ])  # fmt: skip
    header = [
        "planted", "kind", "t50", "Mw", "depth, km", "found as", "t50 error, d", "Mw InSAR", "Mw GNSS", "Mw joint",
        "depth InSAR / joint, km", "GNSS verdict", "observed / predicted", "t50 GNSS",
    ]  # fmt: skip
    return ["## Planted events", "", *table(header, rows)]


def _others(result: Row, ours: dict[str, Row]) -> list[str]:
    """What the catalogue holds and nobody planted as slow slip."""
    rows = [
        [
            row["event_id"], row["type"], str(ours[row["event_id"]]["t50"])[:10], row["truth"] or "-", row["result"],
            ours[row["event_id"]]["gnss_verdict"], ours[row["event_id"]]["gnss_note"] or "-",
        ]
        for row in result["rows"] if row["result"] in ("false", "duplicate")
    ]  # fmt: skip
    header = ["event", "type", "t50", "what was there", "result", "GNSS verdict", "note"]
    return ["## Rows of the catalogue that are no planted slow slip", "", *(table(header, rows) if rows else ["None."])]


def _offsets(comparison: pd.DataFrame) -> list[str]:
    """Denoised InSAR against GNSS at the stations, over all events."""
    named = comparison[(comparison["station"] != "") & np.isfinite(comparison["insar_mm"])]
    named = named[np.isfinite(named["predicted_east_mm"])]  # a residue predicts its own sample
    lines = ["## Offsets over events: denoised InSAR against GNSS", ""]
    if named.empty:
        return [*lines, "No station lies in the map of an event."]
    rows = []
    for label, part in (("all", named), ("confirmed events", named[named["gnss_verdict"] == "confirmed"])):
        if len(part) < 3:
            continue
        x, sx, y, sy = (part[n].to_numpy(float) for n in ("gnss_mm", "gnss_std_mm", "insar_mm", "insar_std_mm"))
        slope, std = slope_of(x, sx, y, sy)
        by_pattern, its_std = slope_by_pattern(part["predicted_mm"].to_numpy(float), x, sx, y, sy)
        rows.append([
            label, str(len(part)), f"{by_pattern:.2f} ± {its_std:.2f}", f"{slope:.2f} ± {std:.2f}",
            f"{np.sqrt(np.mean((y - x) ** 2)):.2f}",
            f"{np.sqrt(np.mean(x**2)):.2f}", f"{np.sqrt(np.mean(sx**2)):.2f}",
        ])  # fmt: skip
    header = [
        "rows",
        "number",
        "slope InSAR / GNSS, sources as instrument",
        "Deming slope, all rows",
        "rms difference, mm",
        "rms of GNSS (zero), mm",
        "sigma of GNSS, mm",
    ]
    note = (
        "Sources as instrument: rows count by the displacement that the sources, of InSAR alone, predict there; noise"
        " of either side drops out (instrumental variable). Deming: both have errors as large as stated; most rows hold"
        " noise alone, and the slope depends on these errors."
    )
    return [*lines, *table(header, rows), "", note]


def slope_by_pattern(pattern: Any, x: Any, x_std: Any, y: Any, y_std: Any) -> tuple[float, float]:
    """Slope of y over x through the origin, and its deviation, with a pattern that errors of neither share.

    The estimator of instrumental variables (Durbin 1954, Rev. Int. Stat. Inst. 22, 23), which errors of x do not bias,
    whether they are known or not.
    """
    weighted = pattern / (x_std**2 + y_std**2)
    along = float(np.sum(weighted * x))
    slope = float(np.sum(weighted * y)) / along
    return slope, math.sqrt(float(np.sum(weighted**2 * (y_std**2 + slope**2 * x_std**2)))) / abs(along)


def slope_of(x: Any, x_std: Any, y: Any, y_std: Any) -> tuple[float, float]:
    """Slope of y over x through the origin, and its deviation, where both have errors (Deming, effective variance)."""

    def cost(slope: float) -> float:
        variance = y_std**2 + slope**2 * x_std**2
        return float(np.sum((y - slope * x) ** 2 / variance))

    best = float(minimize_scalar(cost, bounds=(-2.0, 4.0), method="bounded").x)
    step = 1e-3
    curvature = (cost(best + step) - 2 * cost(best) + cost(best - step)) / step**2
    return best, math.sqrt(2.0 / curvature) if curvature > 0 else math.nan


def _agreement(path: Path) -> list[str]:
    """The series of stations, raw and denoised."""
    lines = ["## Series: InSAR against GNSS before denoising and after", ""]
    read_text(path, "table of agreement", "run `slipscan agreement`, or the rule of that name")
    found = pd.read_csv(path)
    if not set(AGREEMENT) <= set(found):
        raise SlipscanError(f"{path} is no table of agreement: run `slipscan agreement` again")
    rows = []
    for track, part in found.groupby("track"):
        gnss, raw, denoised = (part[n] for n in ("gnss_rms_mm", "raw_rmse_mm", "denoised_rmse_mm"))
        rows.append([
            str(track), str(len(part)), f"{gnss.median():.2f}", f"{raw.median():.2f}", f"{denoised.median():.2f}",
            f"{1 - float((denoised**2).sum() / (raw**2).sum()):+.2f}",
            f"{1 - float((denoised**2).sum() / (gnss**2).sum()):+.2f}",
            f"{part['raw_correlation'].median():.2f} / {part['denoised_correlation'].median():.2f}",
            f"{part['raw_slope'].median():.2f} / {part['denoised_slope'].median():.2f}",
        ])  # fmt: skip
    header = [
        "track", "stations", "rms of GNSS, mm", "raw - GNSS, mm", "denoised - GNSS, mm", "skill over raw",
        "skill over zero", "correlation raw / denoised", "slope raw / denoised",
    ]  # fmt: skip
    note = (
        "Medians over stations; skill is one minus the ratio of mean squares. GNSS has noise of its own, which is in"
        " every difference: of a perfect denoiser too."
    )
    return [*lines, *table(header, rows), "", note]


def table(header: list[str], rows: list[list[str]]) -> list[str]:
    """Lines of a Markdown table."""
    return [f"| {' | '.join(line)} |" for line in (header, ["---"] * len(header), *rows)]


def _value(value: float, digits: int) -> str:
    return f"{value:.{digits}f}" if math.isfinite(value) else "-"


def _with_std(value: float, std: float) -> str:
    return f"{value:.2f} ± {std:.2f}" if math.isfinite(value) else "-"
