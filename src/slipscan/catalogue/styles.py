"""How QGIS draws the catalogue on opening: the table `layer_styles` that it looks for in a GeoPackage."""

from __future__ import annotations

from typing import Final
from xml.sax.saxutils import quoteattr

import pandas as pd

from slipscan.catalogue.schema import STYLES

_DATE: Final = "2014-10-03T00:00:00.000Z"
_COLOURS: Final = {
    "slow_slip": "213,94,0", "afterslip": "230,159,0", "creep_rate_change": "240,228,66", "coseismic": "120,120,120",
    "volumetric": "0,114,178", "hydrological": "86,180,233", "residue": "190,190,190",
}  # fmt: skip
"""Okabe & Ito's palette, which colour-blind readers can tell apart."""

_ACTIVE: Final = "\"status\" = 'active'"

Rule = tuple[str, str, str, str]
"""Label, filter, kind of symbol, and the XML of its layer."""


def style_table() -> pd.DataFrame:
    """Rows of `layer_styles`: one default style for each layer that has a geometry."""
    made = {
        "events": (_qml(_event_rules(), _labels()), "by type; retracted and merged ones as outlines"),
        "sources": (_qml(_source_rules()), "fault planes by type, volumes as dots"),
        "gnss_stations": (_qml(_station_rules()), "stations that an event was compared with"),
        "completeness": (_qml(_completeness_rules()), "grid of magnitudes of completeness, darker for larger ones"),
        "regions": (_qml(_region_rules()), "what was looked at"),
    }
    rows = [
        {
            "f_table_catalog": "", "f_table_schema": "", "f_table_name": name, "f_geometry_column": "geom",
            "styleName": f"slipscan {name}", "styleQML": qml, "styleSLD": "", "useAsDefault": True,
            "description": what, "owner": "", "ui": None, "update_time": _DATE,
        }
        for name, (qml, what) in made.items()
    ]  # fmt: skip
    return pd.DataFrame(rows, columns=STYLES.names)


def _event_rules() -> list[Rule]:
    rules = []
    for kind, colour in _COLOURS.items():
        where = f"{_ACTIVE} AND \"type\" = '{kind}'"
        rules.append((kind.replace("_", " "), where, "fill", _fill(f"{colour},120", f"{colour},255", 0.5)))
    faint = _fill("0,0,0,0", "110,110,110,255", 0.4, "dot")
    rules.append(("retracted", "\"status\" = 'retracted'", "fill", faint))
    part = _fill("0,0,0,0", "90,90,90,160", 0.2)
    rules.append(("part of an event across a border", "\"status\" = 'merged'", "fill", part))
    return rules


def _source_rules() -> list[Rule]:
    rules = []
    for kind, colour in _COLOURS.items():
        where = f"{_ACTIVE} AND \"type\" = '{kind}'"
        plane = _fill("0,0,0,0", f"{colour},255", 0.6)
        rules.append((f"{kind.replace('_', ' ')}: fault", f"{where} AND \"kind\" = 'fault'", "fill", plane))
    # A layer of both kinds is two in QGIS, one of planes and one of points, with this one style.
    dot = _marker(f"{_COLOURS['volumetric']},255", "255,255,255,255", "circle", 3.5)
    rules.append(("volume", f"{_ACTIVE} AND \"kind\" = 'volume'", "marker", dot))
    return rules


def _station_rules() -> list[Rule]:
    return [("GNSS station", "", "marker", _marker("255,255,255,255", "35,35,35,255", "triangle", 3.0))]


def _completeness_rules() -> list[Rule]:
    """Nodes of a place lie on one another: filter the layer by kind, depth_km and duration_d."""
    rules = [
        ("none: see note", '"mc90" IS NULL', "marker", _marker("255,255,255,255", "110,110,110,255", "cross", 2.5))
    ]
    edges = (-10.0, 5.0, 5.5, 6.0, 6.5, 11.0)
    shades = ("239,243,255", "189,215,231", "107,174,214", "49,130,189", "8,81,156")
    for low, high, shade in zip(edges, edges[1:], shades, strict=False):
        where = f'"mc90" >= {low:g} AND "mc90" < {high:g}'
        label = f"below {high:g}" if low == edges[0] else f"{low:g} and more"
        rules.append((label, where, "marker", _marker(f"{shade},255", "35,35,35,255", "square", 3.0)))
    return rules


def _region_rules() -> list[Rule]:
    return [("scanned", "", "fill", _fill("0,0,0,0", "60,90,140,255", 0.5, "dash"))]


def _options(**values: str) -> str:
    """Options of a symbol layer."""
    options = "".join(f'<Option name={quoteattr(k)} type="QString" value={quoteattr(v)}/>' for k, v in values.items())
    return f'<Option type="Map">{options}</Option>'


def _fill(colour: str, outline: str, width_mm: float, line: str = "solid") -> str:
    style = "no" if colour.endswith(",0") and colour.startswith("0,0,0") else "solid"
    options = _options(
        color=colour, style=style, outline_color=outline, outline_style=line, outline_width=f"{width_mm:g}",
        outline_width_unit="MM", joinstyle="bevel",
    )  # fmt: skip
    return f'<layer class="SimpleFill" enabled="1" locked="0" pass="0">{options}</layer>'


def _marker(colour: str, outline: str, name: str, size_mm: float) -> str:
    options = _options(
        color=colour, outline_color=outline, outline_style="solid", outline_width="0.3", outline_width_unit="MM",
        name=name, size=f"{size_mm:g}", size_unit="MM",
    )  # fmt: skip
    return f'<layer class="SimpleMarker" enabled="1" locked="0" pass="0">{options}</layer>'


def _labels() -> str:
    """Labels of events, beside their footprints: the id, and the magnitude where there is one."""
    expression = 'CASE WHEN "mw" IS NOT NULL THEN "id" || \'\\n\' || \'Mw \' || round("mw", 1) ELSE "id" END'
    return (
        '<labeling type="rule-based"><rules key="all">'
        f'<rule key="active" filter={quoteattr(_ACTIVE)}>'
        f'<settings calloutType="simple"><text-style fieldName={quoteattr(expression)} isExpression="1" fontSize="9"'
        ' fontSizeUnit="Point" textColor="20,20,20,255" textOpacity="1" fontWeight="75" fontFamily="Sans">'
        '<text-buffer bufferDraw="1" bufferSize="0.8"'
        ' bufferSizeUnits="MM" bufferColor="255,255,255,255" bufferOpacity="0.8"/></text-style>'
        '<placement placement="8" dist="1" distUnits="MM" priority="5"/>'
        '<rendering obstacle="0" drawLabels="1" scaleVisibility="0"/></settings></rule></rules></labeling>'
    )


def _qml(rules: list[Rule], labels: str = "") -> str:
    """A style as QGIS writes it (QML), of rules."""
    listed = "".join(
        f'<rule key="r{n}" symbol="{n}" label={quoteattr(label)}'
        + (f" filter={quoteattr(where)}" if where else "")
        + "/>"
        for n, (label, where, _, _) in enumerate(rules)
    )
    symbols = "".join(
        f'<symbol type="{kind}" name="{n}" alpha="1" clip_to_extent="1" force_rhr="0">{symbol}</symbol>'
        for n, (_, _, kind, symbol) in enumerate(rules)
    )
    categories = "Symbology|Labeling" if labels else "Symbology"
    return (
        "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>"
        f'<qgis version="3.22.0" styleCategories="{categories}" labelsEnabled="{int(bool(labels))}">'
        f'<renderer-v2 type="RuleRenderer" symbollevels="0" forceraster="0" enableorderby="0"><rules key="all">{listed}'
        f"</rules><symbols>{symbols}</symbols></renderer-v2>{labels}</qgis>"
    )
