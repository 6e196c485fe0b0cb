"""Numbers and sentences of the report: how a value is written, and what a result means in plain words."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from slipscan.fit.model import DAYS_PER_YEAR

NONE = "–"
Row = Mapping[Any, Any]

VERDICTS = {
    "confirmed": "GNSS moved as the source predicts",
    "contradicted": "GNSS did not move where the source says it should",
    "inconclusive": "GNSS can tell neither way",
    "insensitive": "the stations are too far or too noisy to see an event like this",
    "no_coverage": "no station with data near the event",
}
_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def number(value: float, digits: int = 1, unit: str = "", *, signed: bool = False) -> str:
    """Write a number with a true minus sign; a dash where there is none."""
    if not math.isfinite(value):
        return NONE
    text = f"{value:{'+' if signed else ''}.{digits}f}".replace("-", "−")
    return f"{text}\u00a0{unit}" if unit else text


def power(value: float, unit: str = "") -> str:
    """Write a small or large number as a digit times a power of ten."""
    if not math.isfinite(value) or value == 0:
        return NONE if not math.isfinite(value) else "0"
    mantissa, exponent = f"{value:.0e}".split("e")
    text = f"{value:.2g}" if -3 < int(exponent) < 3 else f"{mantissa} × 10{str(int(exponent)).translate(_SUPERSCRIPT)}"
    return f"{text.replace('-', '−')}\u00a0{unit}" if unit else text.replace("-", "−")


def words(name: str) -> str:
    """Write an identifier such as 'slow_slip' as words."""
    return name.replace("_", " ")


def count(n: int, what: str) -> str:
    """Write a number of things, in the plural unless one."""
    return f"{n if n else 'no'} {what}{'' if n == 1 else 's'}"


def duration(event: Row) -> str:
    """Write the duration of an event, with what is not known of its ends."""
    text = number(event["duration_d"], 0, "d")
    if event["ongoing"] or event["left_censored"]:
        text = f"≥\u00a0{text}"
    return f"{text}, ongoing" if event["ongoing"] else text


def years(scan: Row) -> float:
    """Length of a scan's window."""
    span = np.datetime64(scan["window_end"][:10]) - np.datetime64(scan["window_start"][:10])
    return float(span / np.timedelta64(1, "D")) / DAYS_PER_YEAR


def expected_false_alarms(scans: pd.DataFrame) -> float:
    """Events that chance makes at the stated rate: sum of rate x area x years over scans."""
    return sum(
        scan["false_alarms_per_1e4km2_yr"] * scan["area_km2"] / 1e4 * years(scan) for scan in scans.to_dict("records")
    )


def stated_rate(scans: pd.DataFrame) -> str:
    """Write the stated rate of false alarms; a range where scans differ."""
    rates = sorted(set(scans["false_alarms_per_1e4km2_yr"]))
    if not rates:
        return NONE
    return f"{rates[0]:g}" if len(rates) == 1 else f"{rates[0]:g} to {rates[-1]:g}"


def headline(events: pd.DataFrame, regions: int) -> str:
    """Say in a few words what the catalogue holds."""
    kinds = events["type"].value_counts(sort=False).sort_index()
    if len(kinds) == 1:
        kind = words(kinds.index[0])
        found = count(len(events), f"{kind} event" if not kind.endswith("slip") else "slow slip event")
    else:
        found = count(len(events), "event")
    return f"{found[0].upper()}{found[1:]} in {count(regions, 'region')}"


def scanned(scan: Row) -> str:
    """Say what a scan looked at and with which threshold."""
    return (
        f"Scanned {scan['area_km2']:,.0f}\u00a0km² from {scan['window_start']} to {scan['window_end']}"
        f" ({years(scan):.1f} years; data until {scan['data_until']}). Thresholds, {number(scan['threshold'], 1)}"
        f" for the scan, stand for {scan['false_alarms_per_1e4km2_yr']:g} false alarms per"
        f" 10,000\u00a0km² and year: {expected_false_alarms(pd.DataFrame([scan])):.2g} expected in this scan."
    )


def table_cells(event: Row) -> dict[str, str]:
    """Write the cells of an event's row in the table, by column heading."""
    return {
        "Type": words(event["type"]),
        "t50": event["t50"][:10],
        "Duration": duration(event),
        "Mw": number(event["mw"], 1),
        "Depth": number(event["depth_km"], 1, "km"),
        "LOS peaks": f"{number(event['peak_positive_mm'], 1, signed=True)} / "
        f"{number(event['peak_negative_mm'], 1, 'mm', signed=True)}",
        "p real": number(event["p_real"], 2),
        "Tracks": event["tracks"].replace(",", ", "),
    }


def facts(event: Row) -> list[tuple[str, str]]:
    """Write what is known of an event as (question, answer)."""
    censored = "; may have begun before the first epoch" if event["left_censored"] else ""
    answers = [
        ("When", f"{event['t05'][:10]} to {event['t95'][:10]} ({duration(event)}), half of the moment by "
         f"{event['t50'][:10]}{censored}"),
        ("Where", f"{number(abs(event['latitude']), 3)}°\u00a0{'N' if event['latitude'] >= 0 else 'S'}, "
         f"{number(abs(event['longitude']), 3)}°\u00a0{'E' if event['longitude'] >= 0 else 'W'}, "
         f"depth {number(event['depth_km'], 1, 'km')}"),
        ("Size", f"Mw\u00a0{number(event['mw'], 2)} ({number(event['mw_16'], 2)} to {number(event['mw_84'], 2)}) at "
         f"30\u00a0GPa, potency {power(event['potency_m3'], 'm³')}, footprint {number(event['area_km2'], 0, 'km²')}"),
        ("Source", _source(event)),
        ("Line of sight", f"up to {number(event['peak_positive_mm'], 1, 'mm', signed=True)} toward and "
         f"{number(event['peak_negative_mm'], 1, 'mm', signed=True)} away from the satellite"),
        ("How sure", f"real with probability {number(event['p_real'], 2)}; chance makes as strong "
         f"an event anywhere in the scan with p = {power(event['p_value'])}; statistic "
         f"{number(event['statistic'], 1)} against a threshold of {number(event['threshold'], 1)}"),
        ("GNSS", _gnss(event)),
        ("Record", f"found with data until {event['created']}, last updated with data until {event['updated']}; "
         f"calibration {event['calibration_id'] or NONE}, denoiser {event['weights'] or NONE}, "
         f"slipscan {event['slipscan_version'] or NONE}"),
    ]  # fmt: skip
    return answers


def _source(event: Row) -> str:
    explained = event["variance_explained"]
    fit = f"; explains {100 * explained:.0f}\u00a0% of the variance" if math.isfinite(explained) else ""
    if math.isfinite(event["volume_change_m3"]):
        return f"volume change {power(event['volume_change_m3'], 'm³')}{fit}"
    if not math.isfinite(event["strike_deg"]):
        return f"no source fits{fit}"
    return (
        f"{number(event['length_km'], 1)} × {number(event['width_km'], 1, 'km')}, {number(event['slip_mm'], 0, 'mm')}"
        f" of slip; strike {number(event['strike_deg'], 0)}°, dip {number(event['dip_deg'], 0)}°,"
        f" rake {number(event['rake_deg'], 0)}°{fit}"
    )


def _gnss(event: Row) -> str:
    text = f"{words(event['gnss_verdict'])}: {VERDICTS.get(event['gnss_verdict'], '')}"
    if event["gnss_stations"]:
        ratio = number(event["gnss_log_likelihood_ratio"], 1, signed=True)
        text += f" ({count(int(event['gnss_stations']), 'station')}, log-likelihood ratio {ratio})"
    if math.isfinite(event["gnss_size"]):
        text += f"; {event['gnss_size']:.2f} ± {event['gnss_size_std']:.2f} times the predicted displacement"
    if event["gnss_verdict"] == "insensitive" and math.isfinite(event["gnss_visible_size"]):
        text += f"; the stations would see {event['gnss_visible_size']:.1f} times the event"
        if math.isfinite(event["gnss_visible_mw"]):
            text += f", Mw {event['gnss_visible_mw']:.1f}"
    if event["gnss_t50"]:
        text += f"; middle in daily positions {event['gnss_t50']} ± {event['gnss_t50_std_d']:.0f} d"
    if event["gnss_note"]:
        text += f"; {event['gnss_note']}"
    if math.isfinite(event["joint_mw"]):
        text += f"; InSAR and GNSS together Mw {event['joint_mw']:.2f}, {event['joint_depth_km']:.1f} km deep"
    return text


def gnss_rows(table: pd.DataFrame) -> list[dict[str, str]]:
    """Write the rows of the GNSS table of an event, nearest station first."""
    ordered = table.sort_values(["distance_km", "station", "track"])
    return [
        {
            "Station": str(row["station"]),
            "Track": str(row["track"]),
            "Distance": number(row["distance_km"], 1, "km"),
            "InSAR": _with_std(row["insar_mm"], row["insar_std_mm"]),
            "GNSS": _with_std(row["gnss_mm"], row["gnss_std_mm"]),
            "Source predicts": number(row["predicted_mm"], 1, "mm", signed=True),
            "Relative to": str(row["reference_station"]) or NONE,
        }
        for row in ordered.to_dict("records")
    ]


def _with_std(value: float, std: float) -> str:
    return f"{number(value, 1, signed=True)} ± {number(std, 1, 'mm')}" if math.isfinite(value) else NONE
