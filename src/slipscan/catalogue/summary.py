"""What a run found, in a few lines for the terminal."""

from __future__ import annotations

from pathlib import Path

from slipscan.catalogue import geopackage


def summarise(results: Path) -> str:
    """Where catalogue, report and map are, what was scanned and what was found.

    Raises
    ------
    SlipscanError
        there is no catalogue below `results`, or the file is none
    """
    catalogue = Path(results) / "catalogue.gpkg"
    events, _, scans = geopackage.read(catalogue)
    lines = [
        f"catalogue  {catalogue}",
        f"report     {Path(results) / 'report.html'}",
        f"map        {Path(results) / 'map.png'}",
        "",
    ]
    for scan in scans.itertuples():
        lines.append(
            f"{scan.region} track {scan.track}: {scan.area_km2:.0f} km2 scanned from {scan.window_start} to "
            f"{scan.window_end} at {scan.false_alarms_per_1e4km2_yr:g} false alarms per 10,000 km2 and year"
        )
    lines += ["", f"{len(events)} event(s) found"]
    for event in events.itertuples():
        mw = f"Mw {event.mw:.1f}, " if event.mw == event.mw else ""
        lines.append(
            f"  {event.event_id}  {event.type}, {mw}{event.t05} to {event.t95}, "
            f"{event.latitude:.2f} N {event.longitude:.2f} E, "
            f"{event.peak_negative_mm:.0f} to {event.peak_positive_mm:+.0f} mm in line of sight, "
            f"GNSS: {event.gnss_verdict}"
        )
    return "\n".join(lines)
