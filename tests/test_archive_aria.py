"""Archive aria: the manifest of a search, and the catalogue in bad weather."""

from __future__ import annotations

import dataclasses
import datetime
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import requests
from pydantic import ValidationError

from aria_builders import DATES, PAIRS, SCENE, region, settings
from job_builders import job_of
from slipscan.archive.aria.archive import Aria
from slipscan.archive.asf import session as asf_session
from slipscan.archive.http.retry import retry_after_s
from slipscan.archive.manifest import COLUMNS
from slipscan.errors import SlipscanError
from slipscan.regions import Region
from slipscan_loopback import cmr, gunw
from slipscan_loopback.http import Faults, LoopbackServer, Request, Response
from slipscan_loopback.umm import DataFile, Granule, synthetic_granules
from waiting import LONG_S

SEARCH = "/search/granules.umm_json"


def described(pairs: list[tuple[datetime.date, datetime.date]], version: str = "3.0.1", **changes: object) -> Granule:
    """A granule of the first frame without a file."""
    (older, newer), frame = pairs[0], gunw.frames(SCENE)[0]
    file = DataFile(gunw.file_name(SCENE, older, newer, frame, version), 1000, "00ff")
    return dataclasses.replace(gunw.granule(SCENE, older, newer, frame, file, version), **changes)


def search(server: LoopbackServer, place: Region | None = None, as_of: str = "2026-06-30") -> pd.DataFrame:
    place = place or region()
    return Aria().search(job_of(place, settings(server)), as_of)


@pytest.fixture(autouse=True)
def _no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(asf_session.TOKEN, raising=False)


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Granule], dict[str, Path]]:
    return gunw.publish(SCENE, tmp_path_factory.mktemp("gunw"), PAIRS, frame_count=2, cycles=False)


@pytest.fixture
def server(published: tuple[list[Granule], dict[str, Path]]) -> Iterator[LoopbackServer]:
    with LoopbackServer() as running:
        cmr.register(running, cmr.Catalogue(published[0]), published[1])
        yield running


class FaultySearch(LoopbackServer):
    """A server whose search fails, not its files."""

    def find_route(self, method: str, path: str) -> Any:
        found = super().find_route(method, path)
        return found and (found[0], found[1], method == "POST")


# Search ---------------------------------------------------------------------------------------------------------------


def test_the_manifest_lists_every_frame_of_every_pair(server, published) -> None:
    table = search(server)
    assert list(table.columns) == list(COLUMNS)
    assert sorted(table["granule"]) == sorted(granule.name for granule in published[0])
    assert set(table["frame"]) == {"5289", "5290"}
    dates = {(row.reference_date, row.secondary_date) for row in table.itertuples()}
    assert dates == {(older.isoformat(), newer.isoformat()) for older, newer in PAIRS}
    first = table.iloc[0]
    assert (first["archive"], first["product_version"], first["relative_orbit"]) == ("aria", "3.0.1", "87")
    file = DataFile.of(published[1][f"{first['granule']}.nc"])
    assert (first["expected_bytes"], first["expected_checksum"]) == (str(file.bytes), f"md5:{file.md5}")


def test_as_of_limits_the_newer_date(server) -> None:
    assert len(search(server, as_of=DATES[1].isoformat())) == 2
    with pytest.raises(SlipscanError, match=r"up to 2020-01-14.*move as_of|up to 2020-01-14.*check relative_orbit"):
        search(server, as_of="2020-01-14")


def test_superseded_and_other_versions_are_left_out_and_named(caplog: pytest.LogCaptureFixture) -> None:
    later = datetime.datetime(2025, 1, 1, tzinfo=datetime.UTC)
    again = described(PAIRS, produced=later)
    twin = dataclasses.replace(again, name=again.name.replace("-PP-", "-PP-f"))
    granules = [described(PAIRS), described(PAIRS, "3.0.0", produced=later), described(PAIRS, "2.0.6")]
    granules[0] = dataclasses.replace(granules[0], name=granules[0].name.replace("-PP-", "-PP-0"))
    with LoopbackServer() as server, caplog.at_level(logging.INFO):
        cmr.register(server, cmr.Catalogue([*granules, again, twin]), {})
        table = search(server)
        assert list(table["granule"]) == [twin.name]  # version, then generation, then name
        assert "superseded by a newer version" in caplog.text and granules[1].name in caplog.text
        assert f"other versions than 3 are left out (mixed versions are not joined): {granules[2].name}" in caplog.text
        older = search(server, region(aria={"version": "2"}))
        assert list(older["product_version"]) == ["2.0.6"]
        with pytest.raises(SlipscanError, match=r"versions 2\.0\.6, 3\.0\.0, 3\.0\.1.*aria\.version is 3\.1"):
            search(server, region(aria={"version": "3.1"}))


def test_nothing_over_the_polygon_or_of_the_track_names_what_to_check(server) -> None:
    far = ((10.0, 50.0), (10.1, 50.0), (10.1, 50.1), (10.0, 50.1), (10.0, 50.0))
    with pytest.raises(
        SlipscanError, match=r"archive 'aria' has no granule.*TEST.*relative orbit 87.*POLYGON \(\(10 50"
    ):
        search(server, region(polygon=far))
    with pytest.raises(SlipscanError, match="relative orbit 87, descending"):
        search(server, region(orbit_direction="descending"))


def test_the_dry_run_says_what_would_be_asked_and_asks_nothing(server) -> None:
    place = region()
    text = Aria().query(job_of(place, settings(server)), "2021-05-04")
    for part in (
        f"POST {server.url}{SEARCH}",
        "dataset: ARIA S1 GUNW",
        f"intersectsWith: {place.wkt()}",
        "attribute[]=int,PATH_NUMBER,87",
        "attribute[]=string,ASCENDING_DESCENDING,ASCENDING",
        "2021-05-04T23:59:59Z",
        "shortName=ARIA_S1_GUNW",
        "versions that begin with 3",
    ):
        assert part in text
    assert server.requests == []


@pytest.mark.parametrize("fault", ["unavailable", "too_many", "html", "html_ok", "reset", "cut"])
def test_a_search_survives_what_passes(published, fault: str, caplog: pytest.LogCaptureFixture) -> None:
    faults = Faults(share=1.0, kinds=(fault,), per_path=2, retry_after_s=0)
    with FaultySearch(faults) as server:
        cmr.register(server, cmr.Catalogue(published[0]), published[1])
        assert len(search(server)) == len(published[0])
        assert [record.fault for record in server.requests] == [fault, fault, ""]
    assert "tried again" in caplog.text


def test_a_catalogue_that_stays_away_is_one_sentence() -> None:
    place = region()
    with pytest.raises(SlipscanError, match=r"http://127\.0\.0\.1:9 gives no answer after 2 tries.*archive\.cmr_url"):
        Aria().search(job_of(place, settings("http://127.0.0.1:9", attempts=2)), "2026-06-30")
    with pytest.raises(ValidationError, match="cmr_url"):
        settings("nowhere")


def test_retry_after_is_obeyed_within_bounds() -> None:
    assert retry_after_s("7") == 7
    date = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=1)
    assert 86400 - LONG_S < retry_after_s(date.strftime("%a, %d %b %Y %H:%M:%S GMT")) <= 86400
    assert retry_after_s("soon") == 0


def test_many_granules_come_in_pages(published) -> None:
    catalogue = cmr.Catalogue(synthetic_granules(SCENE, 600))
    with LoopbackServer() as server:
        cmr.register(server, catalogue, {})
        assert len(search(server, as_of="2999-01-01")) == 600
        assert len(server.requests) == 3


def test_a_short_answer_is_an_error_not_a_short_manifest() -> None:
    item = described(PAIRS).item("http://127.0.0.1:9")

    def short(request: Request) -> Response:
        return Response(body=json.dumps({"hits": 5, "items": [item]}).encode(), ranges=False)

    with LoopbackServer() as server:
        server.route(SEARCH, short, "POST")
        with pytest.raises(SlipscanError, match="announced 5 granules but gave 1"):
            search(server)


def test_a_malformed_granule_costs_itself_alone(published, caplog: pytest.LogCaptureFixture) -> None:
    broken = described([(DATES[3], DATES[4])], orbits=())  # asf_search wants orbit numbers
    with LoopbackServer() as server:
        cmr.register(server, cmr.Catalogue([broken, *published[0]]), published[1])
        table = search(server)
    assert len(table) == len(published[0])
    assert f"granule {broken.name} is left out: its catalogue entry is malformed" in caplog.text


def test_a_refused_token_is_said_and_never_shown(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(asf_session.TOKEN, "very-secret")

    def refuse(request: Request) -> Response:
        assert request.headers["Authorization"] == "Bearer very-secret"
        return Response(401, json.dumps({"errors": ["Token does not exist"]}).encode(), ranges=False)

    with LoopbackServer() as server, caplog.at_level(logging.DEBUG):
        server.route(SEARCH, refuse, "POST")
        with pytest.raises(SlipscanError, match="refuses the token in EARTHDATA_TOKEN") as caught:
            search(server)
        place = region()
        text = Aria().query(job_of(place, settings(server)), "2021-05-04")
    assert "very-secret" not in str(caught.value) + caplog.text + text


@pytest.mark.parametrize(
    ("url", "sent"),
    [
        ("https://cmr.earthdata.nasa.gov", True),
        ("http://127.0.0.1:9", True),
        ("http://cmr.earthdata.nasa.gov", False),
        ("https://earthdata.nasa.gov.example.org", False),
        ("https://notearthdata.nasa.gov", False),
    ],
)
def test_the_token_goes_to_earthdata_and_to_this_machine_only(
    monkeypatch: pytest.MonkeyPatch, url: str, sent: bool
) -> None:
    monkeypatch.setenv(asf_session.TOKEN, "very-secret")
    session = asf_session.session(settings(url))
    request = session.prepare_request(requests.Request("POST", url))
    assert request.headers.get("Authorization") == ("Bearer very-secret" if sent else None)
    assert "very-secret" not in repr(vars(session))


def test_a_refused_query_tells_why() -> None:
    def refuse(request: Request) -> Response:
        return Response(400, json.dumps({"errors": ["the polygon is too big"]}).encode(), ranges=False)

    with LoopbackServer() as server:
        server.route(SEARCH, refuse, "POST")
        with pytest.raises(SlipscanError, match="HTTP 400: the polygon is too big"):
            search(server)


def test_files_are_located_again_by_name(server, published, tmp_path: Path) -> None:
    place, table = region(), search(server)
    files = Aria().locate(table, job_of(place, settings(server), tmp_path))
    assert set(files) == set(table["granule"])
    (file,) = files[table["granule"][0]]
    assert file.url == f"{server.url}/data/{file.name}" and not file.shared
    assert f"md5:{DataFile.of(published[1][file.name]).md5}" == file.checksum
    gone = table.assign(granule=[*table["granule"][:-1], "S1-GUNW-withdrawn"])
    with pytest.raises(SlipscanError, match=r"no longer has 1 of 6 granules.*S1-GUNW-withdrawn"):
        Aria().locate(gone, job_of(place, settings(server), tmp_path))
