"""Figures of the report with the right sign and place, and its numbers in words."""

import io

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pyproj import Geod
from shapely.geometry import MultiPolygon, box

from event_builders import event, scan
from report_builders import gnss_table, small_grid, write_regions
from slipscan.events import WITHOUT_GNSS
from slipscan.regions import read_regions
from slipscan.report import event_figures, style, words
from slipscan.report import map as overview_map
from slipscan.report.figures import draw_map


def test_a_map_is_north_up_and_red_toward_the_satellite():
    """Toward in the north-east quarter alone: the picture is red there and nowhere else."""
    grid = small_grid()
    values = np.full(grid.shape, -5.0)
    rows, columns = grid.shape
    values[: rows // 2, columns // 2 :] = 5.0
    values[-3:, :3] = np.nan
    with style.new_figure(4, 5) as figure:
        axes = figure.add_subplot()
        draw_map(figure, axes, grid, values, (-6.0, 6.0), "mm")
        pixels = np.asarray(Image.open(io.BytesIO(style.to_png(figure))).convert("RGB")).astype(int)
        box_px = axes.get_window_extent()
    height = pixels.shape[0]

    def colour(east, north):
        x = round(box_px.x0 + east * box_px.width)
        y = round(height - (box_px.y0 + north * box_px.height))
        return pixels[y, x]

    red, blue = colour(0.75, 0.75), colour(0.25, 0.75)
    assert red[0] > red[2] + 60
    assert blue[2] > blue[0] + 60
    assert all((colour(*place) == blue).all() for place in ((0.25, 0.35), (0.75, 0.25)))
    no_data = colour(0.01, 0.01)
    assert np.ptp(no_data) < 8


def test_edges_are_labelled_where_meridians_cross_them():
    grid = small_grid()
    with style.new_figure(4, 5) as figure:
        axes = figure.add_subplot()
        draw_map(figure, axes, grid, np.zeros(grid.shape), (-1.0, 1.0), "mm")
        longitude, latitude = grid.lonlat()
        for x, label in zip(axes.get_xticks(), axes.get_xticklabels(), strict=True):
            there = np.interp(x, grid.x, longitude[-1])
            assert label.get_text() == f"{there:.2f}".rstrip("0").rstrip(".") + "°E"
        for y, label in zip(axes.get_yticks(), axes.get_yticklabels(), strict=True):
            there = np.interp(-y, -grid.y, latitude[:, 0])
            assert label.get_text() == f"{there:.2f}".rstrip("0").rstrip(".") + "°N"


@given(st.floats(1e-6, 1e6))
def test_a_limit_is_a_round_number_just_above(value):
    rounded = style.round_up(value)
    assert value * (1 - 1e-9) <= rounded <= 1.51 * value * (1 + 1e-9)


def test_the_limit_of_a_colour_scale_is_robust():
    values = np.concatenate([np.linspace(-4, 4, 1000), [np.nan, 500.0]])
    assert style.symmetric_limit(values) == 4.0
    assert style.symmetric_limit(np.full(3, np.nan)) == 1.0
    assert style.symmetric_limit(np.zeros(3)) == 1.0


@settings(deadline=None)
@given(st.floats(0, 359.9), st.floats(5, 90), st.floats(-170, 170), st.floats(-60, 60))
def test_the_rectangle_is_centred_on_the_source_and_dips_to_the_right(strike, dip, longitude, latitude):
    row = event(lon=longitude, lat=latitude, strike_deg=strike, dip_deg=dip, length_km=12.0, width_km=6.0)
    corners = event_figures.fault_corners(row)
    earth = Geod(ellps="WGS84")
    lengths = [earth.inv(*corners[i], *corners[(i + 1) % 4]) for i in range(4)]
    assert lengths[0][2] == pytest.approx(12000, rel=1e-3)
    assert lengths[1][2] == pytest.approx(6000 * np.cos(np.deg2rad(dip)), rel=1e-2, abs=1.0)
    assert (lengths[0][0] - strike + 180) % 360 - 180 == pytest.approx(0, abs=0.2)
    if dip < 80:
        assert (lengths[1][0] - strike - 90 + 180) % 360 - 180 == pytest.approx(0, abs=0.5)
    lon = np.unwrap(corners[:, 0], period=360)
    assert (lon.mean() - longitude + 180) % 360 - 180 == pytest.approx(0, abs=2e-3)
    assert corners[:, 1].mean() == pytest.approx(latitude, abs=1e-3)
    assert event_figures.fault_corners(row | {"dip_deg": np.nan}) is None


def test_the_overview_map_of_regions_on_either_side_of_180_degrees_is_narrow(tmp_path):
    fiji = [
        ("WEST", "Vanua Levu", box(179, -17, 180, -16), ("087A",)),
        ("EAST", "Taveuni", box(-180, -17, -179, -16), ("087A",)),
    ]
    write_regions(tmp_path / "regions.geojson", fiji)
    regions = list(read_regions(tmp_path / "regions.geojson").values())
    footprint = MultiPolygon([box(179.9, -16.6, 180, -16.4), box(-180, -16.6, -179.9, -16.4)])
    rows = [event("WEST", lon=179.98, lat=-16.5, geometry=footprint, event_id="WEST-2019-001", mw=np.nan)]
    events = gpd.GeoDataFrame(rows, geometry="geometry", crs="EPSG:4326")
    turned = overview_map._bounds(regions, overview_map._turn(regions))
    assert turned[1] - turned[0] < 4
    png = overview_map.overview(regions, events, [])
    with Image.open(io.BytesIO(png)) as image:
        orange = (np.abs(np.asarray(image.convert("RGB")).astype(int) - (213, 94, 0)).sum(axis=2) < 20).nonzero()
        assert abs(orange[1].mean() / image.size[0] - 0.5) < 0.15, "the event is drawn once, in the middle"
        assert np.ptp(orange[1]) < 0.4 * image.size[0]


def test_names_of_events_of_one_place_are_a_list_beside_it():
    with style.new_figure(6.0, 5.0) as figure:
        axes = figure.add_subplot()
        axes.set_xlim(32, 34)
        axes.set_ylim(40, 42)
        rows = [
            {"event_id": f"EVENT-{number}", "longitude": 32.5, "latitude": latitude, "mw": 5.0}
            for number, latitude in enumerate((41.0, 41.0, 41.001, 40.2))
        ]
        overview_map._label(figure, axes, rows, turn=False)
        figure.canvas.draw()
        boxes = {text.get_text(): text.get_window_extent() for text in axes.texts}
        assert len(boxes) == 4
        names = sorted(boxes)
        for i, one in enumerate(names):
            for other in names[i + 1 :]:
                assert not boxes[one].shrunk(0.95, 0.95).overlaps(boxes[other].shrunk(0.95, 0.95)), (one, other)
        alone = axes.transData.transform((32.5, 40.2))[1]
        assert (boxes["EVENT-3"].y0 + boxes["EVENT-3"].y1) / 2 == pytest.approx(alone, abs=2)


def test_circles_grow_with_magnitude():
    sizes = [overview_map.circle_pt(mw) for mw in (np.nan, 3.0, 4.0, 5.0, 6.0, 9.0)]
    assert sizes == [7, 7, 7, 13, 19, 31]


def test_expected_false_alarms_by_hand():
    """0.1 per 10,000 km2 and year: 5,000 km2 for two years, on two tracks."""
    row = scan(start="2018-01-01", until="2020-01-01") | {"area_km2": 5000.0}
    expected = words.expected_false_alarms(pd.DataFrame([row, row]))
    assert expected == pytest.approx(2 * 0.1 * 0.5 * 730 / 365.25)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (words.number(-3.14159, 2, "mm"), "−3.14\u00a0mm"),
        (words.number(2.0, 1, signed=True), "+2.0"),
        (words.number(np.nan, 1, "km"), "–"),
        (words.power(2.4e-4), "2 × 10⁻⁴"),
        (words.power(0.013), "0.013"),
        (words.power(-3.2e12, "m³"), "−3 × 10¹²\u00a0m³"),
        (words.power(0.0), "0"),
        (words.power(np.nan), "–"),
        (words.count(0, "event"), "no events"),
        (words.count(1, "region"), "1 region"),
        (words.duration({"duration_d": 26.0, "ongoing": True, "left_censored": False}), "≥\u00a026\u00a0d, ongoing"),
    ],
)
def test_numbers_as_they_are_written(text, expected):
    assert text == expected


def test_headlines():
    kinds = pd.DataFrame({"type": ["slow_slip"]})
    assert words.headline(kinds, 1) == "1 slow slip event in 1 region"
    assert words.headline(pd.concat([kinds, kinds]), 2) == "2 slow slip events in 2 regions"
    assert words.headline(pd.DataFrame({"type": ["volumetric"]}), 1) == "1 volumetric event in 1 region"
    assert words.headline(pd.DataFrame({"type": ["volumetric", "slow_slip"]}), 1) == "2 events in 1 region"
    assert words.headline(kinds[:0], 1) == "No events in 1 region"


def test_a_source_is_described_by_what_it_is():
    base = WITHOUT_GNSS | event(potency_m3=1e6, area_km2=10.0, created="2019-12-25", updated="2019-12-25")
    assert dict(words.facts(base))["Source"] == "no source fits"
    assert dict(words.facts(base | {"volume_change_m3": -2e6}))["Source"] == "volume change −2 × 10⁶\u00a0m³"
    slip = base | {"strike_deg": 261.5, "dip_deg": 85.0, "rake_deg": 180.0, "length_km": 10.0, "width_km": 4.0,
                   "slip_mm": 19.0, "variance_explained": 0.83}  # fmt: skip
    assert dict(words.facts(slip))["Source"] == (
        "10.0 × 4.0\u00a0km, 19\u00a0mm of slip; strike 262°, dip 85°, rake 180°; explains 83\u00a0% of the variance"
    )


def test_a_station_off_the_map_and_without_a_reference_has_dashes():
    table = gnss_table(stations=2).assign(insar_mm=[np.nan, 1.0], insar_std_mm=[np.nan, 0.5], reference_station="")
    rows = words.gnss_rows(table)
    assert [row["InSAR"] for row in rows] == ["–", "+1.0 ± 0.5\u00a0mm"]
    assert rows[0]["Relative to"] == "–"
    picture = event_figures.gnss_comparison(table, "AAAA-2018-001")
    assert "relative to" not in picture.caption
    assert "relative to REFE" in event_figures.gnss_comparison(gnss_table(), "AAAA-2018-001").caption
