"""Archive 'opera': the real asf_search against the loopback catalogue, and granules whose numbers are known."""

from __future__ import annotations

import dataclasses
import datetime
import logging
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import rasterio
from pyproj import CRS
from rasterio import Affine

from job_builders import job_of
from slipscan.archive.asf import session as asf_session
from slipscan.archive.manifest import COLUMNS
from slipscan.archive.opera.archive import Opera, check_chain
from slipscan.errors import SlipscanError
from slipscan.regions import Region
from slipscan.settings import ArchiveSettings, DownloadSettings
from slipscan.vocabulary import check
from slipscan_loopback import cmr, disp
from slipscan_loopback.http import LoopbackServer
from slipscan_loopback.scene import TrueScene
from slipscan_loopback.umm import DataFile, Granule

WAVELENGTH = 0.05546576
SCENE = TrueScene(ionosphere_m=0.02, tide_m=0.03, island=True)
DATES = SCENE.dates
MOVING = disp.moving_references(SCENE)
POSTING = 120.0  # the loopback's files; written by hand below: 30 m


def region(scene: TrueScene = SCENE, polygon: object = None, opera: object = None, **track: object) -> Region:
    entry = {"id": "087A", "relative_orbit": scene.relative_orbit, "orbit_direction": scene.orbit_direction, **track}
    return Region.model_validate(
        {
            "id": "TEST",
            "name": "Test",
            "archive": "opera",
            "tracks": [{**entry, "opera": opera or {"frames": [disp.FRAME]}}],
            "reference_point": scene.reference_point,
            "tectonic_setting": "continental transform",
            "polygon": polygon or scene.polygon,
        }
    )


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


# Reading --------------------------------------------------------------------------------------------------------------

NAME = "OPERA_L3_DISP-S1_IW_F11116_VV_20200103T154030Z_20200115T154030Z_v1.0_20240916T043310Z"
STATIC = "OPERA_L3_DISP-S1-STATIC_F11116_20140403_S1A_v1.0"
ROW = pd.Series(
    {
        "granule": NAME,
        "product_version": "1.0",
        "reference_date": "2020-01-03",
        "secondary_date": "2020-01-15",
        "frame": "F11116",
    }
)
LEFT, TOP, SIZE = 450000.0, 4530000.0, 500
BOUNDS = (32.47, 40.83, 32.53, 40.87)


def write_by_hand(directory: Path, size: int = SIZE, wavelength: float = WAVELENGTH, east: float = -0.6) -> list[Path]:
    """A granule of constants on 30 m of UTM 36N, and its static layers: NetCDF, line of sight, heights."""
    path = directory / f"{NAME}.nc"
    layers = {
        "displacement": (np.nan, 0.0125, "f4"),
        "short_wavelength_displacement": (np.nan, -1.0, "f4"),
        "recommended_mask": (255, 1, "u1"),
        "connected_component_labels": (65535, 2, "u2"),
        "temporal_coherence": (np.nan, 0.9, "f4"),
        "estimated_phase_quality": (np.nan, 0.6, "f4"),
        "corrections/ionospheric_delay": (np.nan, 0.004, "f4"),
        "corrections/solid_earth_tide": (np.nan, -0.007, "f4"),
        "corrections/perpendicular_baseline": (np.nan, 42.0, "f4"),
    }
    with h5py.File(path, "w") as file:
        file["x"], file["y"] = LEFT + 15 + 30.0 * np.arange(size), TOP - 15 - 30.0 * np.arange(size)
        file["spatial_ref"] = 0
        file["spatial_ref"].attrs["crs_wkt"] = CRS.from_epsg(32636).to_wkt()
        for name, (fill, value, dtype) in layers.items():
            layer = file.create_dataset(name, (size, size), dtype, chunks=(256, 256), fillvalue=fill)
            layer.attrs["_FillValue"] = np.dtype(dtype).type(fill)
            layer[2:500, 2:500] = value
        file["recommended_mask"][250, 250], file["displacement"][251, 251] = 0, np.nan
        file["identification/reference_datetime"] = np.bytes_("2020-01-03 15:40:30.000000")
        file["identification/secondary_datetime"] = np.bytes_("2020-01-15 15:40:30.000000")
        file["identification/radar_wavelength"] = wavelength
    north = -0.1
    vector = np.array([east, north, np.sqrt(1 - east**2 - north**2)])
    los = write_tif(directory / f"{STATIC}_line_of_sight_enu.tif", vector, size, nodata=0)
    return [path, los, write_tif(directory / f"{STATIC}_dem.tif", np.array([1234.0]), size)]


def write_tif(path: Path, values: np.ndarray, size: int, nodata: float | None = None, left: float = LEFT) -> Path:
    with rasterio.open(
        path, "w", "GTiff", size, size, len(values), "EPSG:32636", Affine(30, 0, left, 0, -30, TOP), "float32", nodata,
        tiled=True, blockxsize=128, blockysize=128, sparse_ok=True,
    ) as file:  # fmt: skip
        window = rasterio.windows.Window(0, 0, min(size, 500), min(size, 500))
        file.write(
            np.broadcast_to(values[:, None, None], (len(values), window.height, window.width)).astype("f4"),
            window=window,
        )
    return path


def crop(files: list[Path], bounds: tuple[float, float, float, float] = BOUNDS, place: Region | None = None):  # type: ignore[no-untyped-def]
    place = place or region()
    return Opera().crop(ROW, files, job_of(place), bounds)


def test_signs_against_numbers_worked_out_by_hand(tmp_path: Path) -> None:
    got = crop(write_by_hand(tmp_path))
    check(got, "granule")
    good = np.isfinite(got["interferogram"].values)
    assert (~good).sum() == 2  # one by the mask, one by its own NaN
    np.testing.assert_allclose(got["interferogram"].values[good], 0.0125, rtol=1e-6)  # never the short-wavelength one
    np.testing.assert_allclose(got["ionosphere"], 0.004, rtol=1e-6)
    np.testing.assert_allclose(got["tide"], -0.007, rtol=1e-6)
    np.testing.assert_allclose(got["coherence"].values[good], 0.6, rtol=1e-6)  # of the pair, not of the ministack
    np.testing.assert_allclose(got["los_east"], -0.6, rtol=1e-6)
    np.testing.assert_allclose(got["height"], 1234.0)
    assert (got["component"].values[good] == 2).all() and (got["component"].values[~good] == 0).all()
    assert got.attrs["perpendicular_baseline_m"] == 42.0
    named = {name: got.attrs[name] for name in ("reference_date", "secondary_date", "product_version", "frame")}
    assert named == {name: ROW[name] for name in named}
    assert ((got["x"] - LEFT - 15) % 30 == 0).all() and ((TOP - 15 - got["y"]) % 30 == 0).all()
    assert CRS.from_wkt(got["spatial_ref"].attrs["crs_wkt"]).to_epsg() == 32636


def test_no_data_is_neither_a_component_nor_coherent(tmp_path: Path) -> None:
    got = crop(write_by_hand(tmp_path), (32.0, 40.0, 33.0, 41.0))
    assert got.sizes == {"y": SIZE, "x": SIZE}
    edge = got.isel(y=0)
    assert (
        np.isnan(edge["interferogram"]).all() and np.isnan(edge["coherence"]).all() and (edge["component"] == 0).all()
    )


def test_coherence_falls_back_on_that_of_the_ministack(tmp_path: Path) -> None:
    files = write_by_hand(tmp_path)
    with h5py.File(files[0], "a") as file:
        del file["estimated_phase_quality"], file["corrections"]
    got = crop(files[:2])
    assert np.nanmax(got["coherence"]) == pytest.approx(0.9)
    assert not {"ionosphere", "tide", "height"} & set(got.data_vars)


@pytest.mark.parametrize("direction", ["ascending", "descending"])
def test_the_true_scene_comes_back(tmp_path: Path, direction: str) -> None:
    scene = dataclasses.replace(SCENE, orbit_direction=direction)
    reference, secondary = DATES[0], DATES[4]
    path = tmp_path / disp.file_name(scene, reference, secondary)
    disp.write(path, scene, reference, secondary, POSTING)
    static = disp.write_static(tmp_path, scene, POSTING)
    row = pd.Series({**ROW, "granule": path.stem, "secondary_date": secondary.isoformat()})
    place = region(scene)
    got = Opera().crop(row, [path, *static], job_of(place), (32.4, 40.7, 32.6, 41.0))
    xx, yy = np.meshgrid(got["x"], got["y"])
    from pyproj import Transformer

    lon, lat = Transformer.from_crs(CRS.from_wkt(got["spatial_ref"].attrs["crs_wkt"]), 4326, always_xy=True).transform(
        xx, yy
    )
    valid = np.isfinite(got["interferogram"].values)
    assert valid.mean() > 0.7

    def same(name: str, truth: np.ndarray, atol: float) -> None:
        """Equal but for a constant: every layer is zero at the product's own reference point."""
        difference = (got[name].values - truth)[valid]
        np.testing.assert_allclose(difference, np.median(difference), atol=atol)

    same("interferogram", scene.interferogram(lon, lat, reference, secondary), 5e-5)
    for name in ("tide", "ionosphere"):
        part = getattr(scene, name)
        same(name, part(lon, lat, secondary) - part(lon, lat, reference), 5e-5)
    for name, part in zip(("los_east", "los_north", "los_up"), scene.los(lon, lat), strict=True):
        np.testing.assert_allclose(got[name].values[valid], part[valid], atol=1e-3)
    np.testing.assert_allclose(got["height"].values[valid], scene.height(lon, lat)[valid], atol=0.01)


def test_only_the_window_is_read(tmp_path: Path) -> None:
    files = write_by_hand(tmp_path, size=8000)
    tracemalloc.start()
    got = crop(files)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert got.sizes["x"] < 200 and np.isfinite(got["interferogram"]).mean() > 0.99
    assert peak < 10e6  # one layer is 256 MB


def test_no_valid_pixel_in_the_window_gives_nothing(tmp_path: Path) -> None:
    files = write_by_hand(tmp_path, size=1500)
    assert crop(files, (32.72, 40.60, 32.76, 40.64)) is None  # inside the frame, without data
    assert crop(files, (10.0, 50.0, 10.1, 50.1)) is None


def test_broken_files_are_one_sentence(tmp_path: Path) -> None:
    files = write_by_hand(tmp_path)
    for path in files[:2]:
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
        with pytest.raises(SlipscanError, match=rf"{path.name}.*fetch it again"):
            crop(files)
        path.write_bytes(whole)
    with h5py.File(files[0], "a") as file:
        del file["recommended_mask"]
    with pytest.raises(SlipscanError, match="has no variable /recommended_mask"):
        crop(files)
    with pytest.raises(SlipscanError, match="1 NetCDF files and 0 lines of sight"):
        crop([files[0], files[2]])


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SlipscanError, match=r"radar wavelength of 0\.24 m"):
        crop(write_by_hand(tmp_path, wavelength=0.24))
    with pytest.raises(SlipscanError, match="impossible for a right-looking ascending"):
        crop(write_by_hand(tmp_path, east=0.6))
    files = write_by_hand(tmp_path)
    write_tif(files[1], np.array([-0.6, -0.1, 0.79]), SIZE, left=LEFT + 11)
    with pytest.raises(SlipscanError, match="is not on the lattice of its frame's displacements"):
        crop(files)
    place = region()
    with pytest.raises(SlipscanError, match="has the secondary date 2020-01-15, by the manifest it is 2020-02-08"):
        Opera().crop(
            pd.Series({**ROW, "secondary_date": "2020-02-08"}),
            files,
            job_of(place),
            BOUNDS,
        )
