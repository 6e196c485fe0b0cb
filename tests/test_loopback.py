"""The loopback catalogue: asf_search finds what it holds; the scene behind it."""

import datetime
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asf_search
import numpy as np
import pytest
import requests
from requests.adapters import HTTPAdapter

from loopback_builders import BURSTS, FIRST, LAST, SCENE, SECOND, WAVELENGTH, running
from slipscan.geometry import check_los
from slipscan_loopback import bursts, disp, gunw
from slipscan_loopback.cmr import Catalogue, register
from slipscan_loopback.http import LoopbackServer
from slipscan_loopback.scene import TrueScene
from slipscan_loopback.umm import Granule, synthetic_granules
from waiting import LONG_S

pytestmark = pytest.mark.filterwarnings("ignore:The 'shapely.ops.transform.*:DeprecationWarning")  # asf_search's
WKT = "POLYGON((32.46 40.82,32.54 40.82,32.54 40.88,32.46 40.88,32.46 40.82))"
ELSEWHERE = "POLYGON((35 40.82,36 40.82,36 41.5,35 40.82))"


class Plain(HTTPAdapter):
    """Speaks plain HTTP where asf_search insists on https."""

    def send(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        request.url = request.url.replace("https://", "http://", 1)
        return super().send(request, *args, **kwargs)


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[LoopbackServer, Catalogue, dict[str, Path]]]:
    with running(tmp_path_factory.mktemp("archive")) as made:
        yield made


@pytest.fixture(autouse=True)
def no_reports(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asf_search, "REPORT_ERRORS", False)


def search(server: LoopbackServer, **keywords: Any) -> asf_search.ASFSearchResults:
    session = asf_search.ASFSession()
    session.trust_env = False
    host = server.url.removeprefix("http://")
    session.mount(f"https://{host}", Plain())
    results = asf_search.search(opts=asf_search.ASFSearchOptions(host=host, session=session, **keywords))
    results.raise_if_incomplete()
    return results


# The search ----------------------------------------------------------------------------------------------------------


def test_asf_search_finds_gunw_by_place_track_and_time(archive: Any) -> None:
    server, _, files = archive
    keywords: dict[str, Any] = {
        "dataset": "ARIA S1 GUNW",
        "intersectsWith": WKT,
        "relativeOrbit": 87,
        "flightDirection": "ASCENDING",
    }
    found = search(server, **keywords)
    assert len(found) == 4 and {type(product).__name__ for product in found} == {"ARIAS1GUNWProduct"}
    # the time of a GUNW granule is that of its newer date alone
    assert len(search(server, end="2020-02-01", **keywords)) == 2
    assert not search(server, start="2020-06-01", **keywords)
    for other in ({"relativeOrbit": 88}, {"flightDirection": "DESCENDING"}, {"intersectsWith": ELSEWHERE}):
        assert not search(server, **{**keywords, **other})
    assert len(search(server, asfFrame=gunw.FIRST_FRAME, **keywords)) == 2
    properties = found[0].properties
    path = files[properties["fileName"]]
    assert (properties["ariaVersion"], properties["pathNumber"], properties["polarization"]) == ("3.0.1", 87, "VV")
    assert properties["bytes"] == path.stat().st_size
    assert properties["md5sum"] == hashlib.md5(path.read_bytes()).hexdigest()
    assert len(properties["orbit"]) == 2 and all((orbit - 73) % 175 + 1 == 87 for orbit in properties["orbit"])
    assert requests.get(properties["url"], timeout=LONG_S).content == path.read_bytes()


def test_asf_search_finds_disp_and_its_static_layers(archive: Any) -> None:
    server, _, files = archive
    found = search(server, dataset="OPERA-S1", processingLevel="DISP-S1", intersectsWith=WKT)
    assert len(found) == len(SCENE.dates) - 1
    assert {product.properties["frameNumber"] for product in found} == {disp.FRAME}
    product = min(found, key=lambda product: product.properties["stopTime"])
    assert product.properties["startTime"] == "2020-01-03T15:40:30Z"
    assert product.properties["stopTime"] == "2020-01-15T15:40:30Z"
    assert product.properties["bytes"] == {
        f"{product.properties['fileID']}.nc": {
            "bytes": files[product.properties["fileName"]].stat().st_size,
            "format": "netCDF-4",
        }
    }
    # a frame of OPERA is FRAME_NUMBER, which asf_search asks for by asfFrame, not by frame
    level: dict[str, Any] = {"dataset": "OPERA-S1", "processingLevel": "DISP-S1"}
    assert len(search(server, asfFrame=disp.FRAME, **level)) == len(found)
    assert not search(server, frame=disp.FRAME, **level)
    static = search(server, dataset="OPERA-S1", processingLevel="DISP-S1-STATIC", intersectsWith=WKT)
    assert len(static) == 1 and static[0].properties["frameNumber"] == disp.FRAME
    urls = [static[0].properties["url"], *static[0].properties["additionalUrls"]]
    assert {url.rsplit("/", 1)[1] for url in urls} == {name for name in files if "STATIC" in name}


def test_asf_search_finds_bursts_and_computes_their_baselines(archive: Any) -> None:
    from asf_search.baseline.calc import calculate_perpendicular_baselines

    server, _, _ = archive
    found = search(server, dataset="SLC-BURST", fullBurstID=BURSTS[0], polarization="VV")
    assert len(found) == len(SCENE.dates)
    burst = found[0].properties["burst"]
    assert (burst["fullBurstID"], burst["relativeBurstID"], burst["subswath"]) == (BURSTS[0], 185682, "IW2")
    assert len(search(server, dataset="SLC-BURST", intersectsWith=WKT)) == 2 * len(SCENE.dates)
    named = search(server, product_list=[found[0].properties["fileID"]])
    assert [product.properties["fileID"] for product in named] == [found[0].properties["fileID"]]
    first = min(found, key=lambda product: product.properties["startTime"])
    for product in calculate_perpendicular_baselines(first.properties["sceneName"], list(found)):
        date = datetime.date.fromisoformat(product.properties["startTime"][:10])
        assert abs(product.properties["perpendicularBaseline"] - SCENE.perpendicular_baseline(date)) < 1


@pytest.mark.parametrize("count", [1_001, pytest.param(10_000, marks=pytest.mark.slow)])
def test_asf_search_pages_through_all_granules(count: int) -> None:
    many = synthetic_granules(SCENE, count)
    with LoopbackServer() as server:
        register(server, catalogue := Catalogue(many), {})
        found = [product.properties["fileID"] for product in search(server, dataset="ARIA S1 GUNW", relativeOrbit=87)]
    assert len(catalogue.queries) == -(-count // 250)
    assert sorted(found) == sorted(granule.name for granule in many)


def test_pages_of_ten_thousand_granules_join_without_loss() -> None:
    """The slow part of paging is asf_search's reading of granules; the pages themselves are tested in full here."""
    many = synthetic_granules(SCENE, 10_000)
    names, headers = [], {}
    with LoopbackServer() as server, requests.Session() as session:
        register(server, Catalogue(many), {})
        while True:
            data = {"shortName": "ARIA_S1_GUNW", "page_size": "500"}
            answer = session.post(f"{server.url}/search/granules.umm_json", data, headers=headers, timeout=LONG_S)
            content = answer.json()
            assert content["hits"] == 10_000
            names += [item["umm"]["GranuleUR"] for item in content["items"]]
            if "CMR-Search-After" not in answer.headers:
                break
            headers = {"CMR-Search-After": answer.headers["CMR-Search-After"]}
    assert names == [granule.name for granule in sorted(many, key=lambda g: (-g.begin.timestamp(), g.name))]


def test_one_malformed_granule_breaks_its_page() -> None:
    file = gunw.DataFile("OPERA_L3_DISP-S1_IW_F11116_VV_a_b_v1.0_c.nc", 1, "")
    bad = disp.granule(SCENE, FIRST, SECOND, file, malformed=True)
    with LoopbackServer() as server:
        register(server, Catalogue([bad]), {})
        with pytest.raises(IndexError):
            search(server, dataset="OPERA-S1", processingLevel="DISP-S1")


def test_the_search_refuses_what_it_does_not_know(archive: Any) -> None:
    server, _, _ = archive
    url = f"{server.url}/search/granules.umm_json"
    for parameters in ({"colour": "red"}, {"temporal": "yesterday,"}, {"attribute[]": "int,PATH_NUMBER,x"}):
        answer = requests.post(url, data=parameters, timeout=LONG_S)
        assert answer.status_code == 400 and json.loads(answer.text)["errors"]
    clockwise = "32.4,40.8,32.4,40.9,32.6,40.9,32.6,40.8,32.4,40.8"
    assert requests.get(url, params={"polygon": clockwise}, timeout=LONG_S).status_code == 400
    answer = requests.get(url, params={"short_name": "ARIA_S1_GUNW", "page_size": 3}, timeout=LONG_S)
    assert answer.headers["CMR-Hits"] == "4" and len(answer.json()["items"]) == 3
    after = {"CMR-Search-After": answer.headers["CMR-Search-After"]}
    rest = requests.get(url, params={"short_name": "ARIA_S1_GUNW", "page_size": 3}, headers=after, timeout=LONG_S)
    assert len(rest.json()["items"]) == 1


def test_names_in_a_catalogue_are_unique() -> None:
    granule: Granule = bursts.publish(SCENE)[0]
    with pytest.raises(ValueError, match="twice"):
        Catalogue([granule, granule])


# The scene -----------------------------------------------------------------------------------------------------------


def test_the_scene_by_hand() -> None:
    """At the peak of the steady motion 45 mm/yr of subsidence are seen as motion away, and the reference is quiet."""
    scene = TrueScene(season_m=(0, 0, 0), event_m=(0, 0, 0), rate_m_yr=(0, 0, -0.045))
    lon, lat = 32.44 + 0.65 * 0.12, 40.80 + 0.35 * 0.10
    up = np.cos(np.deg2rad(33 + 6 * 0.65 + 0.06 * scene.height(lon, lat) / 1000))
    assert scene.displacement(lon, lat, LAST) == pytest.approx(-0.045 * 132 / 365.25 * up, rel=1e-9)
    full = TrueScene()
    assert np.abs(full.enu(*map(np.asarray, full.reference_point), LAST)).max() < 1e-6
    assert full.event_history(full.event_onset) == 0 and full.event_history(LAST) == 1


@pytest.mark.parametrize("direction", ["ascending", "descending"])
def test_the_line_of_sight_is_possible(direction: Any) -> None:
    scene = TrueScene(orbit_direction=direction)
    lon, lat = scene.geographic_grid(0.01).lonlat()
    check_los(*scene.los(lon, lat), direction, "the scene")
    east_side, west_side = (scene.incidence(lon, 40.85, 0.0) for lon in (np.array(32.56), np.array(32.44)))
    assert (east_side > west_side) == (direction == "ascending")  # away from the satellite the angle grows


def test_the_island_is_wrong_by_whole_cycles_in_the_named_interferogram_alone() -> None:
    scene = TrueScene(island=True, island_cycles=((FIRST, SECOND, 2),))
    lon, lat = scene.geographic_grid(0.002).lonlat()
    truth = scene.displacement(lon, lat, SECOND)
    extra = scene.interferogram(lon, lat, FIRST, SECOND) - truth
    component = scene.component(lon, lat)
    assert set(np.unique(component)) == {0, 1, 2}
    assert np.allclose(extra, np.where(component == 2, WAVELENGTH, 0), atol=1e-12)
    assert np.array_equal(scene.interferogram(lon, lat, FIRST, LAST), scene.displacement(lon, lat, LAST))


def test_nuisances_differ_by_date_and_are_absent_by_default() -> None:
    lon, lat = TrueScene().geographic_grid(0.01).lonlat()
    noisy = TrueScene(delay_m=0.01)
    assert np.array_equal(TrueScene().observed(lon, lat, LAST), TrueScene().displacement(lon, lat, LAST))
    first, second = noisy.delay(lon, lat, FIRST), noisy.delay(lon, lat, SECOND)
    assert 0.001 < np.std(first - second) < 0.05 and np.array_equal(first, noisy.delay(lon, lat, FIRST))
