"""The report: what a track saw of an event, figures with the right sign and place, the page as a reader gets it."""

import base64
import io
import shutil
from html.parser import HTMLParser

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
from report_builders import epochs, gnss_table, small_grid, write_regions, write_results, write_track
from slipscan.catalogue import geopackage
from slipscan.errors import SlipscanError
from slipscan.geometry import read_grid
from slipscan.regions import read_regions
from slipscan.report import event_figures, observed, stage, style, words
from slipscan.report import map as overview_map
from slipscan.report.figures import draw_map
from slipscan.settings import ReportSettings
from slipscan.stack import open_denoised, with_denoised
from slipscan.store import open_zarr


def report(root, results, catalogue, regions, ids=("AAAA",)):
    html, png = root / "report.html", root / "map.png"
    stage.write_report(catalogue, results, regions, list(ids), html, png, ReportSettings())
    return html.read_text(encoding="utf-8"), png.read_bytes()


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Results of a region with two events on two tracks, and its report.

    The newest scan of track 094D does not hold them: the rows stay in the catalogue, while transients.zarr
    holds only what the newest scan found.
    """
    root = tmp_path_factory.mktemp("events")
    paths = write_results(root)
    write_track(paths[0] / "AAAA" / "094D", track="094D")
    return root, paths, *report(root, *paths)


@pytest.fixture(scope="module")
def quiet(tmp_path_factory):
    """The report of 13 epochs without events, line of sight, height, coherence and noise product."""
    root = tmp_path_factory.mktemp("quiet")
    paths = write_results(root, events=0, count=13, tracks=("087A",), bare=True)
    shutil.rmtree(paths[0] / "AAAA" / "087A" / "noise.zarr")
    (paths[0] / "AAAA" / "gnss.parquet").unlink()
    return paths, report(root, *paths)[0]


class Reader(HTMLParser):
    """What a browser would find: ids, links, pictures, captions, text, and anything it would have to load."""

    def __init__(self, html):
        super().__init__()
        self.ids, self.links, self.pictures, self.captions, self.loaded, self.text = [], [], [], [], [], ""
        self._caption = False
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.ids += [attrs["id"]] if "id" in attrs else []
        self._caption = tag == "figcaption"
        if tag == "figcaption":
            self.captions.append("")
        if tag == "a":
            self.links.append(attrs["href"])
        elif tag == "img":
            self.pictures.append(attrs)
        elif tag in ("script", "link", "iframe", "object"):
            self.loaded.append(tag)

    def handle_endtag(self, tag):
        self._caption = self._caption and tag != "figcaption"

    def handle_data(self, data):
        self.text += data
        if self._caption:
            self.captions[-1] += data


# --------------------------------------------------------------------------------------------- the page


def test_the_page_needs_nothing_but_itself(made):
    reader = Reader(made[2])
    assert reader.loaded == []
    assert "url(" not in made[2]
    assert len(reader.pictures) == 1 + 2 * (3 + 2 + 2) + 2 * 2 + 1, "map, tracks, events on one, GNSS"
    for picture in reader.pictures:
        kind, _, data = picture["src"].partition(",")
        assert kind == "data:image/png;base64"
        with Image.open(io.BytesIO(base64.b64decode(data))) as image:
            image.load()
            assert image.size == (int(picture["width"]), int(picture["height"]))
            assert image.info["Software"] == "slipscan", "no version, no date"
        assert len(picture["alt"]) > 10


def test_every_link_leads_somewhere_and_no_id_is_used_twice(made):
    reader = Reader(made[2])
    assert {link.removeprefix("#") for link in reader.links} <= set(reader.ids)
    assert len(set(reader.ids)) == len(reader.ids)
    assert {"#event-AAAA-2018-001", "#event-AAAA-2018-002", "#gnss-AAAA-2018-001"} <= set(reader.links)


def test_what_a_reader_looks_for_is_there(made):
    text = " ".join(Reader(made[2]).text.split())
    assert "2 slow slip events in 1 region" in text
    for value in ("2018-06-15", "087A, 094D", "+9.0 / −9.0 mm", "2 × 10⁻⁴", "confirmed", "strike 262°"):
        assert value in text, value
    assert "+4.6 ± 1.4 mm" in text, "the GNSS table"
    assert "0.1 false alarms per 10,000 km² and year" in text


def test_every_caption_of_a_displacement_states_its_sign(made):
    captions = Reader(made[2]).captions
    signed = [c for c in captions if "displacement" in c.lower() or "velocity" in c or "lobe" in c]
    assert len(signed) == 2 * (1 + 1) + 2 * 2 + 1
    assert all("positive toward the satellite" in caption.lower() for caption in signed)


def test_an_event_that_the_newest_scan_of_a_track_does_not_hold_is_still_listed(made):
    reader = Reader(made[2])
    text = " ".join(reader.text.split())
    assert text.count("Track 094D: the newest scan of this track holds no transient here") == 2
    assert [picture["alt"] for picture in reader.pictures if "Map of event" in picture["alt"]] == [
        "Map of event AAAA-2018-001 on track 087A",
        "Map of event AAAA-2018-002 on track 087A",
    ]


def test_the_same_results_give_the_same_bytes(tmp_path, quiet, made):
    assert report(tmp_path, *quiet[0])[0] == quiet[1]
    stores, gnss = track_stores(made), gnss_table(0, ("087A",))
    row = geopackage.read(made[1][1])[0].to_dict("records")[0]

    def pictures():
        seen = observed.sighting(stores, row)
        return [
            event_figures.transient_map(stores, seen, row, gnss),
            event_figures.history(stores, seen, row),
            event_figures.gnss_comparison(gnss, "AAAA-2018-001"),
        ]

    again = pictures()
    assert again == pictures()
    in_page = [picture["src"].partition(",")[2] for picture in Reader(made[2]).pictures]
    assert base64.b64encode(again[1].png).decode() in in_page


def test_a_region_without_events_says_so_and_what_was_looked_at(quiet):
    reader = Reader(quiet[1])
    text = " ".join(reader.text.split())
    assert "No events in 1 region" in text
    assert "No transient stands above the threshold." in text
    assert "Scanned 3,600 km² from 2018-01-04 to 2018-05-28" in text
    assert "threshold, 5.5, stands for 0.1 false alarms per 10,000 km² and year" in text
    alts = [picture["alt"] for picture in reader.pictures]
    assert any("velocity" in alt for alt in alts)
    assert any("denoised change" in alt and "2018-01-04 to 2018-05-28" in alt for alt in alts)


def test_a_name_cannot_break_the_page(tmp_path, quiet):
    results, catalogue, _ = quiet[0]
    hostile = "<script>alert('&')</script>"
    write_regions(tmp_path / "regions.geojson", [("AAAA", hostile, box(32.5, 40.8, 32.7, 41.0), ("087A",))])
    html, _ = report(tmp_path, results, catalogue, tmp_path / "regions.geojson")
    assert "script" not in Reader(html).loaded
    assert hostile in Reader(html).text


def test_what_is_missing_is_said_in_a_sentence(tmp_path, made):
    _, (results, catalogue, regions), *_ = made
    with pytest.raises(SlipscanError, match="has no region BBBB"):
        report(tmp_path, results, catalogue, regions, ids=["BBBB"])
    geopackage.write(tmp_path / "empty.gpkg", geopackage.read(catalogue)[0][:0], [])
    with pytest.raises(SlipscanError, match="no scan of region AAAA"):
        report(tmp_path, results, tmp_path / "empty.gpkg", regions)
    with pytest.raises(SlipscanError, match=r"stack\.zarr"):
        report(tmp_path, tmp_path, catalogue, regions)
    assert not (tmp_path / "report.html").exists()


# ---------------------------------------------------------------------------------------------- figures


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


def test_circles_grow_with_magnitude():
    sizes = [overview_map.circle_pt(mw) for mw in (np.nan, 3.0, 4.0, 5.0, 6.0, 9.0)]
    assert sizes == [7, 7, 7, 13, 19, 31]


# --------------------------------------------------------------------------------------------- observed


def track_stores(made, track="087A"):
    directory = made[1][0] / "AAAA" / track
    stack = open_zarr(directory / "stack.zarr")
    denoised = with_denoised(stack, open_denoised(directory / "denoised.zarr", stack))
    return observed.TrackStores(
        "AAAA", track, read_grid(stack), denoised, open_zarr(directory / "transients.zarr"), None
    )


def test_an_event_finds_its_own_transient(made):
    stores = track_stores(made)
    events = geopackage.read(made[1][1])[0].to_dict("records")
    assert [observed.find_transient(stores.transients, stores.grid, row) for row in events] == [0, 1]
    late = events[0] | {"t50": "2018-08-01"}
    far = events[0] | {"geometry": box(10, 10, 11, 11)}
    assert [observed.find_transient(stores.transients, stores.grid, row) for row in (late, far)] == [None, None]
    none = stores.transients.isel(transient=slice(0, 0))
    assert observed.find_transient(none, stores.grid, events[0]) is None


def test_the_series_of_a_lobe_holds_the_planted_step(made):
    """9 mm at the peak of either lobe; the median above half of it lies between half and all of it."""
    stores = track_stores(made)
    row = geopackage.read(made[1][1])[0].to_dict("records")[0]
    seen = observed.sighting(stores, row)
    assert [lobe.sign for lobe in seen.lobes] == [1, -1]
    before, after = observed.interval(seen.time, row)
    for lobe in seen.lobes:
        step = lobe.sign * (lobe.denoised_mm[after] - lobe.denoised_mm[before])
        assert 4.5 < step < 9.5
        assert lobe.denoised_mm[before] == 0
        assert lobe.raw_mm[after] != lobe.denoised_mm[after]
        assert lobe.std_mm == pytest.approx(1.2, abs=1e-5)
    np.testing.assert_allclose(np.abs(seen.map_mm).max(), 9.0, rtol=0.05)


def test_lobes_by_hand():
    field = np.array([[8.0, 4.0, 3.9], [-1.0, np.nan, -6.0], [50.0, -3.0, 0.0]])
    footprint = np.ones((3, 3), bool)
    footprint[2, 0] = False
    (plus, toward), (minus, away) = observed.lobe_masks(field, footprint)
    assert (plus, minus) == (1, -1)
    assert toward.tolist() == [[True, True, False], [False, False, False], [False, False, False]]
    assert away.tolist() == [[False, False, False], [False, False, True], [False, True, False]]
    assert [sign for sign, _ in observed.lobe_masks(np.abs(field), footprint)] == [1]
    assert observed.lobe_masks(field, np.zeros((3, 3), bool)) == []


def test_the_median_over_pixels_leaves_gaps_out():
    series = np.array([[1.0, 3.0, np.nan], [np.nan] * 3, [2.0, 4.0, 9.0]])
    np.testing.assert_array_equal(observed.median_over_pixels(series), [2.0, np.nan, 4.0])


@pytest.mark.parametrize(
    ("t05", "t95", "expected"),
    [
        ("2018-01-20", "2018-02-10", (1, 4)),
        ("2018-01-16", "2018-01-28", (1, 2)),
        ("2017-12-01", "2017-12-20", (0, 1)),
        ("2018-04-01", "2019-01-01", (7, 9)),
    ],
)
def test_the_epochs_around_an_event(t05, t95, expected):
    assert observed.interval(epochs(10), {"t05": t05, "t95": t95}) == expected
    assert observed.interval(epochs(10), None) == (0, 9)


# ------------------------------------------------------------------------------------------------ words


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
    base = event(potency_m3=1e6, area_km2=10.0, created="2019-12-25", updated="2019-12-25",
                 gnss_verdict="no_data", gnss_stations=0, gnss_log_likelihood_ratio=np.nan)  # fmt: skip
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
