"""The report: the page as a reader gets it, and what a track saw of an event."""

import base64
import io
import shutil
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image
from shapely.geometry import box

from increment_builders import folded
from report_builders import epochs, gnss_table, write_regions, write_results, write_track
from slipscan.catalogue import geopackage
from slipscan.errors import SlipscanError
from slipscan.geometry import read_grid
from slipscan.report import event_figures, observed, stage
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


def test_the_page_needs_nothing_but_itself(made):
    reader = Reader(made[2])
    assert reader.loaded == []
    assert "url(" not in made[2]
    assert len(reader.pictures) == 1 + 2 * (3 + 2 + 2) + 2 * 2 + 2, "map, tracks, events on one, GNSS and its vectors"
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
    assert {"#event-SSE-20180615-AAAA-a", "#event-SSE-20180920-AAAA-a", "#gnss-SSE-20180615-AAAA-a"} <= set(
        reader.links
    )


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
    signed = [c for c in signed if not c.startswith("Horizontal")]  # arrows
    assert len(signed) == 2 * (1 + 1) + 2 * 2 + 1
    assert all("positive toward the satellite" in caption.lower() for caption in signed)


def test_an_event_that_the_newest_scan_of_a_track_does_not_hold_is_still_listed(made):
    reader = Reader(made[2])
    text = " ".join(reader.text.split())
    assert text.count("Track 094D: the newest scan of this track holds no transient here") == 2
    assert [picture["alt"] for picture in reader.pictures if "Map of event" in picture["alt"]] == [
        "Map of event SSE-20180615-AAAA-a on track 087A",
        "Map of event SSE-20180920-AAAA-a on track 087A",
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
            event_figures.gnss_comparison(gnss, "SSE-20180615-AAAA-a"),
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
    assert "Thresholds, 5.5 for the scan, stand for 0.1 false alarms per 10,000 km² and year" in text
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
    geopackage.write(tmp_path / "empty.gpkg", folded())
    with pytest.raises(SlipscanError, match="no scan of region AAAA"):
        report(tmp_path, results, tmp_path / "empty.gpkg", regions)
    with pytest.raises(SlipscanError, match=r"stack\.zarr"):
        report(tmp_path, tmp_path, catalogue, regions)
    assert not (tmp_path / "report.html").exists()


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
