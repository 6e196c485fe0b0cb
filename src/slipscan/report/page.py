"""The HTML page: one file with its pictures inside, no script, no network."""

from __future__ import annotations

import base64
import struct
from dataclasses import dataclass, field
from pathlib import Path

import jinja2
import pandas as pd

from slipscan.report import words
from slipscan.report.figures import Picture

TEMPLATE = Path(__file__).with_name("page.html.j2")


@dataclass(frozen=True)
class EventSection:
    """An event on the page: its row of the catalogue, and its pictures per track."""

    event_id: str
    type: str
    verdict: str
    cells: dict[str, str]
    facts: list[tuple[str, str]]
    tracks: list[tuple[str, list[Picture]]]
    gnss: Picture | None = None
    gnss_rows: list[dict[str, str]] = field(default_factory=list)
    gnss_more: list[Picture] = field(default_factory=list)


@dataclass(frozen=True)
class TrackSection:
    """A region and track on the page."""

    track: str
    orbit_direction: str
    scanned: str
    change_of: str
    change: list[Picture]
    maps: list[Picture]
    noise: list[Picture]


@dataclass(frozen=True)
class RegionSection:
    """A region on the page."""

    region: str
    name: str
    setting: str
    events: list[str]
    tracks: list[TrackSection]
    completeness: Picture | None = None


@dataclass(frozen=True)
class Page:
    """Everything that the page shows."""

    title: str
    overview: Picture
    events: pd.DataFrame
    retracted: pd.DataFrame
    scans: pd.DataFrame
    event_sections: list[EventSection]
    region_sections: list[RegionSection]


def render(page: Page) -> str:
    """Render the page; the same input gives the same text."""
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.globals["picture_size"] = png_size
    environment.globals["data_uri"] = data_uri
    environment.filters["words"] = words.words
    template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
    area_years = sum(s["area_km2"] / 1e4 * words.years(s) for s in page.scans.to_dict("records"))
    regions = words.count(len(page.region_sections), "region")
    retracted = [
        {"Event": row["event_id"], **words.table_cells(row), "Retracted": f"with data until {row['updated']}"}
        for row in page.retracted.to_dict("records")
    ]
    return template.render(
        page=page,
        headline=words.headline(page.events, len(page.region_sections)),
        tiles=[
            ("events", str(len(page.events))),
            (f"{'track' if len(page.scans) == 1 else 'tracks'} in {regions}", str(len(page.scans))),
            ("scanned, 10,000\u00a0km² × years", f"{area_years:.2g}"),
            ("false alarms expected by chance", f"{words.expected_false_alarms(page.scans):.2g}"),
        ],
        rate=words.stated_rate(page.scans),
        verdicts=words.VERDICTS,
        retracted=retracted,
        data_until=max(page.scans["data_until"], default=""),
    )


def data_uri(png: bytes) -> str:
    """Write a PNG as a data URI."""
    return f"data:image/png;base64,{base64.b64encode(png).decode('ascii')}"


def png_size(png: bytes) -> tuple[int, int]:
    """Read width and height of a PNG, so that the page keeps its place while it loads."""
    width, height = struct.unpack(">II", png[16:24])
    return int(width), int(height)
