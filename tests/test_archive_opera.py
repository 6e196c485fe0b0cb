"""Archive opera: the manifest of a search, and references that move."""

from __future__ import annotations

import dataclasses
import datetime
import logging
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from job_builders import job_of
from opera_builders import DATES, SCENE, region
from slipscan.archive.asf import session as asf_session
from slipscan.archive.manifest import COLUMNS
from slipscan.archive.opera.archive import Opera, check_chain
from slipscan.errors import SlipscanError
from slipscan.regions import Region
from slipscan.settings import ArchiveSettings, DownloadSettings
from slipscan_loopback import cmr, disp
from slipscan_loopback.http import LoopbackServer
from slipscan_loopback.umm import DataFile, Granule

MOVING = disp.moving_references(SCENE)


def settings(server: LoopbackServer) -> ArchiveSettings:
    return ArchiveSettings(cmr_url=server.url, download=DownloadSettings(backoff_s=0, attempts=2))


def search(server: LoopbackServer, place: Region | None = None, as_of: str = "2026-06-30") -> pd.DataFrame:
    place = place or region()
    return Opera().search(job_of(place, settings(server)), as_of)


def described(
    reference: datetime.date, secondary: datetime.date, version: str = "1.0", frame: int = disp.FRAME, **changes: object
) -> Granule:
    """A granule without a file."""
    produced = changes.pop("produced", disp.PRODUCED)
    file = DataFile(disp.file_name(SCENE, reference, secondary, frame, version, produced), 1000, "00ff")
    return dataclasses.replace(disp.granule(SCENE, reference, secondary, file, frame, version, produced), **changes)


def chain(frame: int = disp.FRAME, **changes: object) -> list[Granule]:
    return [described(*pair, frame=frame, **changes) for pair in disp.pairs(SCENE, MOVING)]


@pytest.fixture(autouse=True)
def _no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(asf_session.TOKEN, raising=False)


@pytest.fixture
def server() -> Iterator[LoopbackServer]:
    files = [DataFile(f"{disp.static_name()}_{layer}.tif", 10, "ab") for layer in disp.STATIC_LAYERS]
    with LoopbackServer() as running:
        cmr.register(running, cmr.Catalogue([*chain(), disp.static_granule(SCENE, files)]), {})
        yield running


# Search ---------------------------------------------------------------------------------------------------------------


def test_the_manifest_lists_the_products_with_their_moving_references(server) -> None:
    table = search(server)
    assert list(table.columns) == list(COLUMNS)
    pairs = sorted((a.isoformat(), b.isoformat()) for a, b in disp.pairs(SCENE, MOVING))
    assert [(row.reference_date, row.secondary_date) for row in table.itertuples()] == pairs
    assert len(set(table["reference_date"])) == 3
    first = table.iloc[0]
    assert (first["archive"], first["product_version"], first["frame"]) == ("opera", "1.0", "F11116")
    assert (first["expected_bytes"], first["expected_checksum"]) == ("1000", "md5:00ff")


def test_as_of_limits_the_secondary_date(server) -> None:
    assert search(server, as_of=DATES[6].isoformat())["secondary_date"].max() == DATES[6].isoformat()
    with pytest.raises(SlipscanError, match=r"no granule for region TEST track 087A up to 2019-12-31"):
        search(server, as_of="2019-12-31")


def test_superseded_versions_are_left_out_and_named(caplog: pytest.LogCaptureFixture) -> None:
    later = datetime.datetime(2025, 6, 1, tzinfo=datetime.UTC)
    old, again = described(DATES[0], DATES[1]), described(DATES[0], DATES[1], produced=later)
    newer, other = described(DATES[0], DATES[2], "1.1"), described(DATES[0], DATES[2], produced=later)
    future = described(DATES[0], DATES[1], "2.0")
    with LoopbackServer() as server, caplog.at_level(logging.INFO):
        cmr.register(server, cmr.Catalogue([old, again, newer, other, future]), {})
        table = search(server)
    assert list(table["granule"]) == [again.name, newer.name]
    assert "superseded by a newer version: " in caplog.text and old.name in caplog.text and other.name in caplog.text
    assert f"other versions than 1 are left out (mixed versions are not joined): {future.name}" in caplog.text


def test_several_frames_and_one_beside_the_polygon(caplog: pytest.LogCaptureFixture) -> None:
    beside = tuple((lon + 5, lat) for lon, lat in SCENE.polygon)
    granules = [*chain(), *chain(11117), *chain(11118, ring=beside)]
    with LoopbackServer() as server:
        cmr.register(server, cmr.Catalogue(granules), {})
        table = search(server, region(opera={"frames": [11116, 11117, 11118]}))
        assert set(table["frame"]) == {"F11116", "F11117"} and len(table) == 2 * len(chain())
        assert "the frame F11118 has no granule that touches the polygon" in caplog.text
        with pytest.raises(SlipscanError, match="the frames F11118 do not touch the polygon"):
            search(server, region(opera={"frames": [11118]}))


def test_without_frames_all_of_the_track_that_touch_the_polygon_are_taken() -> None:
    beside = tuple((lon + 5, lat) for lon, lat in SCENE.polygon)
    other_track = [
        dataclasses.replace(granule, attributes={**granule.attributes, "PATH_NUMBER": ("14",)})
        for granule in chain(11117)
    ]
    with LoopbackServer() as server:
        cmr.register(server, cmr.Catalogue([*chain(), *chain(11118, ring=beside), *other_track]), {})
        table = search(server, region(opera=None))
    assert set(table["frame"]) == {"F11116"} and len(table) == len(chain())


def test_a_frame_of_another_track_is_refused(server) -> None:
    with pytest.raises(SlipscanError, match="frame F11116 is of relative orbit 87, ascending, but track 087A of 144"):
        search(server, region(relative_orbit=144))
    with pytest.raises(SlipscanError, match=r"frames F00001.*check relative_orbit"):
        search(server, region(opera={"frames": [1]}))


def test_a_reference_that_cannot_be_chained_names_its_dates(caplog: pytest.LogCaptureFixture) -> None:
    lost = MOVING[1]
    kept = [described(*pair) for pair in disp.pairs(SCENE, MOVING) if pair[1] != lost]
    assert len(kept) == len(chain()) - 1
    sentence = (
        rf"F11116 moves to {lost}, on which no earlier displacement ends.*5 of 10 displacements.*cannot be chained"
    )
    with LoopbackServer() as server:
        cmr.register(server, cmr.Catalogue(kept), {})
        with pytest.raises(SlipscanError, match=sentence):
            search(server)
        # asf_search cannot read an entry without links to Zarr references: the same date is missing then.
        catalogue = cmr.Catalogue([*kept, described(MOVING[0], lost, malformed=True)])
        server._routes.clear()
        cmr.register(server, catalogue, {})
        with pytest.raises(SlipscanError, match=sentence):
            search(server)
    assert "is left out: its catalogue entry is malformed" in caplog.text


def test_a_chain_over_frames_is_judged_frame_by_frame() -> None:
    rows = [("F1", "2020-01-01", "2020-02-01"), ("F1", "2020-02-01", "2020-03-01"), ("F2", "2020-02-13", "2020-03-01")]
    table = pd.DataFrame(rows, columns=["frame", "reference_date", "secondary_date"])
    check_chain(table)
    broken = pd.concat([table, pd.DataFrame([("F2", "2020-02-01", "2020-02-25")], columns=table.columns)])
    with pytest.raises(SlipscanError, match="frame F2 moves to 2020-02-13"):
        check_chain(broken)


def test_the_dry_run_asks_nothing(server) -> None:
    place = region()
    text = Opera().query(job_of(place, settings(server)), "2021-05-04")
    for part in (
        "dataset: OPERA-S1",
        "shortName=OPERA_L3_DISP-S1_V1",
        "int,FRAME_NUMBER,11116",
        "begin with 1",
        place.wkt(),
    ):
        assert part in text
    assert server.requests == []


def test_files_come_with_the_frame_s_static_layers(server, tmp_path: Path) -> None:
    place, table = region(), search(server)
    located = Opera().locate(table, job_of(place, settings(server), tmp_path))
    assert set(located) == set(table["granule"])
    for name, files in located.items():
        assert [file.name for file in files if not file.shared] == [f"{name}.nc"]
        shared = [file.name for file in files if file.shared]
        assert shared == [f"{disp.static_name()}{layer}" for layer in ("_dem.tif", "_line_of_sight_enu.tif")]


def test_a_frame_without_line_of_sight_is_refused(tmp_path: Path) -> None:
    place = region()
    with LoopbackServer() as server:
        cmr.register(server, cmr.Catalogue(chain()), {})
        with pytest.raises(SlipscanError, match=r"no line of sight .* of frame F11116"):
            Opera().locate(search(server), job_of(place, settings(server), tmp_path))
