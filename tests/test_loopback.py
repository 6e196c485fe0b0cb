"""The loopback archive of ARIA GUNW, OPERA DISP-S1 and bursts: real clients and readers against the true scene."""

import datetime
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asf_search
import h5py
import numpy as np
import pytest
import rasterio
import requests
import xarray as xr
from requests.adapters import HTTPAdapter

from slipscan.geometry import Array, check_los
from slipscan_loopback import bursts, disp, gunw
from slipscan_loopback.cmr import Catalogue, register
from slipscan_loopback.disp_layers import gap_pixels, reference_pixel, rounded
from slipscan_loopback.http import LoopbackServer
from slipscan_loopback.scene import TrueScene
from slipscan_loopback.umm import Granule, synthetic_granules
from waiting import LONG_S

pytestmark = pytest.mark.filterwarnings("ignore:The 'shapely.ops.transform.*:DeprecationWarning")  # asf_search's

WAVELENGTH = 0.05546576
POSTING = 120.0
FIRST, SECOND, LAST = datetime.date(2020, 1, 3), datetime.date(2020, 1, 15), datetime.date(2020, 5, 14)
BURSTS = ("087_185682_IW2", "087_185683_IW2")
SCENE = TrueScene(ionosphere_m=0.02, tide_m=0.03)
WKT = "POLYGON((32.46 40.82,32.54 40.82,32.54 40.88,32.46 40.88,32.46 40.82))"
ELSEWHERE = "POLYGON((35 40.82,36 40.82,36 41.5,35 40.82))"


class Plain(HTTPAdapter):
    """Speaks plain HTTP where asf_search insists on https."""

    def send(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        request.url = request.url.replace("https://", "http://", 1)
        return super().send(request, *args, **kwargs)


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[LoopbackServer, Catalogue, dict[str, Path]]]:
    directory = tmp_path_factory.mktemp("archive")
    pairs = [(FIRST, SECOND), (FIRST, LAST)]
    granules, files = gunw.publish(SCENE, directory, pairs, frame_count=2)
    more, more_files = disp.publish(SCENE, directory, disp.moving_references(SCENE, 5), posting_m=POSTING)
    catalogue = Catalogue([*granules, *more, *bursts.publish(SCENE, BURSTS)])
    files.update(more_files)
    with LoopbackServer() as server:
        register(server, catalogue, files)
        yield server, catalogue, files


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


# GUNW ----------------------------------------------------------------------------------------------------------------


def gunw_files(files: dict[str, Path], newer: datetime.date, older: datetime.date) -> list[Path]:
    found = [path for name, path in files.items() if f"tops-{newer:%Y%m%d}_{older:%Y%m%d}" in name]
    return sorted(found, key=lambda path: path.name.split("-")[6])  # by time: ascending, so from the south


def test_gunw_holds_the_motion_toward_from_older_to_newer(archive: Any) -> None:
    path = gunw_files(archive[2], LAST, FIRST)[0]
    with xr.open_dataset(path, group="science/grids/data", engine="netcdf4") as data:
        lat, lon = data.latitude.values, data.longitude.values
        phase = data.unwrappedPhase.values
        component = data.connectedComponents.values
    assert np.allclose(np.diff(lat), -1 / 1200) and np.allclose(np.diff(lon), 1 / 1200)
    assert np.allclose((lon - 1 / 2400) * 1200, np.round((lon - 1 / 2400) * 1200))  # centres of 3-arcsecond cells
    assert np.isnan(phase[0]).all() and np.isnan(component[:, 0]).all()  # the edge has no data
    truth = sum(
        sign * (SCENE.displacement(*np.meshgrid(lon, lat), date) + nuisance)
        for sign, date, nuisance in ((1, LAST, nuisances(lon, lat, LAST)), (-1, FIRST, nuisances(lon, lat, FIRST)))
    )
    cycles = (phase - 4 * np.pi / WAVELENGTH * truth) / (2 * np.pi)
    valid = ~np.isnan(phase)
    assert np.allclose(cycles[valid], np.round(np.nanmedian(cycles)), atol=1e-5)
    with h5py.File(path) as file:
        raw = file["science/grids/data/unwrappedPhase"]
        assert raw[0, 0] == 0 and file["science/grids/data/connectedComponents"][0, 0] == -1
        assert file["science/radarMetaData/wavelength"][()] == pytest.approx(WAVELENGTH)
        assert bytes(file["productBoundingBox"][0]).startswith(b"POLYGON ((32.4")


def nuisances(lon: Array, lat: Array, date: datetime.date) -> Array:
    grid = np.meshgrid(lon, lat)
    return SCENE.ionosphere(*grid, date) + SCENE.tide(*grid, date)


def test_gunw_corrections_remove_ionosphere_and_tide(archive: Any) -> None:
    path = gunw_files(archive[2], LAST, FIRST)[0]
    with xr.open_datatree(path, engine="netcdf4") as tree:
        data = tree["science/grids/data"].to_dataset()
        corrections = tree["science/grids/corrections"]
        ionosphere = corrections["derived/ionosphere"]["ionosphere"]
        tides = corrections["external/tides/solidEarth"]
        tide = tides["reference"]["solidEarthTide"] - tides["secondary"]["solidEarthTide"]
        inner = {"latitude": data.latitude[10:-10:7], "longitude": data.longitude[10:-10:7]}
        phase = data.unwrappedPhase.sel(inner) - ionosphere.interp(inner) - tide.interp(inner).interp(height=900.0)
        lon, lat = np.meshgrid(inner["longitude"], inner["latitude"])
        motion = (phase.transpose("latitude", "longitude").values * WAVELENGTH / (4 * np.pi)).astype(float)
    truth = SCENE.displacement(lon, lat, LAST)
    error = (motion - truth) - np.median(motion - truth)
    assert np.abs(error).max() < 1e-6
    assert np.std(nuisances(lon[0], lat[:, 0], LAST) - nuisances(lon[0], lat[:, 0], FIRST)) > 1e-3


def test_gunw_geometry_gives_the_line_of_sight_at_the_ground(archive: Any) -> None:
    path = gunw_files(archive[2], LAST, FIRST)[0]
    with xr.open_dataset(path, group="science/grids/imagingGeometry", engine="netcdf4") as cube:
        assert cube.incidenceAngle.dims == ("heightsMeta", "latitudeMeta", "longitudeMeta")
        assert list(cube.heightsMeta) == [-1500, 0, 3000, 9000]
        assert np.allclose(np.diff(cube.latitudeMeta), -0.1) and np.allclose(np.diff(cube.longitudeMeta), 0.1)
        at = {"longitudeMeta": 32.47, "latitudeMeta": 40.87, "heightsMeta": float(SCENE.height(32.47, 40.87))}
        incidence, azimuth = (np.deg2rad(float(cube[f"{name}Angle"].interp(at))) for name in ("incidence", "azimuth"))
    horizontal = np.sin(incidence)
    los = horizontal * np.cos(azimuth), horizontal * np.sin(azimuth), np.cos(incidence)
    assert np.allclose(los, SCENE.los(np.array(32.47), np.array(40.87)), atol=1e-6)
    assert los[0] < 0  # ascending, so the satellite is in the west
    with_ground_ignored = SCENE.los(np.array(32.47), np.array(40.87), 0.0)
    assert np.abs(los - with_ground_ignored).max() > 3e-4


def test_frames_overlap_and_differ_by_whole_cycles(archive: Any) -> None:
    south, north = (
        xr.load_dataset(path, group="science/grids/data", engine="netcdf4")
        for path in gunw_files(archive[2], SECOND, FIRST)
    )
    assert south.latitude.max() < north.latitude.max()
    shared = np.intersect1d(np.round(south.latitude, 9), np.round(north.latitude, 9))
    assert len(shared) == pytest.approx(0.2 * 120, abs=1)
    middle = shared[3:-3]
    difference = (
        north.unwrappedPhase.sel(latitude=middle, method="nearest")
        - south.unwrappedPhase.sel(latitude=middle, method="nearest").values
    ).values[:, 3:-3] / (2 * np.pi)
    assert np.allclose(difference, np.round(difference), atol=1e-5)
    steps = {}
    for older, newer in SCENE.pairs(1):
        for frame in gunw.frames(SCENE, 2):
            draw = np.random.default_rng((SCENE.seed, frame.number, older.toordinal(), newer.toordinal()))
            steps[older, frame.number] = int(draw.integers(-2, 3))
    assert len(set(steps.values())) == 5


# DISP-S1 -------------------------------------------------------------------------------------------------------------


def test_disp_pairs_move_their_reference() -> None:
    dates = SCENE.dates
    made = disp.pairs(SCENE, disp.moving_references(SCENE, 5))
    assert made[:6] == [(dates[0], date) for date in dates[1:6]] + [(dates[5], dates[6])]
    assert made[-1] == (dates[10], dates[11]) and len(made) == 11
    assert {reference for reference, _ in disp.pairs(SCENE)} == {dates[0]}


def test_disp_holds_the_motion_toward_since_its_reference(archive: Any) -> None:
    path = next(path for name, path in archive[2].items() if "VV_20200303T154030Z_20200409T154030Z" not in name
                and "_20200514T154030Z_v1.0_" in name)  # fmt: skip
    with h5py.File(path) as file, xr.open_dataset(path, engine="netcdf4") as root:
        reference = root.reference_time.values[0].astype("datetime64[D]").item()
        secondary = root.time.values[0].astype("datetime64[D]").item()
        assert (reference, secondary) == (SCENE.dates[10], LAST)
        assert bytes(file["identification/secondary_datetime"][()]) == b"2020-05-14 15:40:30.000000"
        assert file["identification/frame_id"][()] == disp.FRAME
        grid = SCENE.metric_grid(POSTING)
        assert np.array_equal(root.x, grid.x) and np.array_equal(root.y, grid.y)
        assert "UTM zone 36N" in root.spatial_ref.attrs["crs_wkt"]
        lon, lat = grid.lonlat()
        corrected = root.displacement.values.astype(float)
        for name in ("ionospheric_delay", "solid_earth_tide"):
            corrected -= file[f"corrections/{name}"][:]
        mask, component = file["recommended_mask"][:], file["connected_component_labels"][:]
        point = file["corrections/reference_point"].attrs
        row, column = point["rows"][0], point["cols"][0]
        assert (row, column) == reference_pixel(SCENE, grid)
        assert np.isclose(point["longitudes"][0], SCENE.reference_point[0], atol=0.001)
        assert root.displacement.values[row, column] == 0
    truth = SCENE.displacement(lon, lat, LAST) - SCENE.displacement(lon, lat, reference)
    error = corrected - truth
    assert np.nanmax(np.abs(error - error[row, column])) < 3e-5  # mantissas of 12 and 10 bits
    assert np.isnan(corrected[0]).all() and not np.isnan(corrected[2:-2, 2:-2]).any()
    assert set(np.unique(mask)) == {0, 1, 255} and set(np.unique(component)) == {0, 1, 65535}


def test_chained_products_give_the_series(archive: Any) -> None:
    """Along the reference dates the products add up to the displacement since the first date."""
    lon, lat = SCENE.metric_grid(POSTING).lonlat()
    total = np.zeros(lon.shape)
    for reference, secondary in ((SCENE.dates[0], SCENE.dates[5]), (SCENE.dates[5], SCENE.dates[10]),
                                 (SCENE.dates[10], LAST)):  # fmt: skip
        with h5py.File(archive[2][disp.file_name(SCENE, reference, secondary)]) as file:
            total += file["displacement"][:]
            total -= file["corrections/solid_earth_tide"][:] + file["corrections/ionospheric_delay"][:]
    error = total - SCENE.displacement(lon, lat, LAST)
    assert np.nanmax(np.abs(error - np.nanmedian(error))) < 1e-4


def test_static_layers_point_from_the_ground_to_the_satellite(archive: Any) -> None:
    files = archive[2]
    with rasterio.open(files[f"{disp.static_name()}_line_of_sight_enu.tif"]) as file:
        los, crs = file.read(masked=True), file.crs
        assert file.nodata == 0
    with rasterio.open(files[f"{disp.static_name()}_dem.tif"]) as file:
        height = file.read(1)
    lon, lat = SCENE.metric_grid(POSTING).lonlat()
    assert crs.to_epsg() == 32636
    assert np.abs(los - SCENE.los(lon, lat)).max() < 6e-4  # a mantissa of 9 bits
    check_los(*(band.filled(np.nan) for band in los), "ascending", "the static layers")
    assert np.allclose(height, SCENE.height(lon, lat), atol=0.01)


def test_pixels_can_be_missing_at_a_crossover(tmp_path: Path) -> None:
    _, files = disp.publish(
        SCENE, tmp_path, disp.moving_references(SCENE, 5), missing=SCENE.dates[2:5], crossover_gap=True, posting_m=500
    )
    assert sum(name.endswith(".nc") for name in files) == 8
    lon, lat = SCENE.metric_grid(500).lonlat()
    gap = gap_pixels(SCENE, lon, lat)
    for secondary, lacks in ((SCENE.dates[1], False), (SCENE.dates[5], True), (SCENE.dates[6], False)):
        path = next(path for name, path in files.items() if f"Z_{secondary:%Y%m%d}T" in name)
        with h5py.File(path) as file:
            assert np.isnan(file["displacement"][:][gap]).all() == lacks


def test_files_are_the_same_bytes_every_time(tmp_path: Path) -> None:
    frame = gunw.frames(SCENE)[0]
    for name in ("a", "b"):
        gunw.write(tmp_path / f"{name}.nc", SCENE, FIRST, SECOND, frame)
        disp.write(tmp_path / f"{name}.h5", SCENE, FIRST, SECOND, 500)
    for suffix in ("nc", "h5"):
        assert (tmp_path / f"a.{suffix}").read_bytes() == (tmp_path / f"b.{suffix}").read_bytes()


def test_rounding_keeps_the_bits() -> None:
    values = np.array([0.0, 1.0, 1 + 2**-12, 1 + 2**-14, -0.0312345, np.nan], np.float32)
    kept = rounded(values, 12)
    assert np.array_equal(kept[:4], [0, 1, 1 + 2**-12, 1]) and np.isnan(kept[5])
    assert abs(kept[4] / values[4] - 1) < 2**-13
