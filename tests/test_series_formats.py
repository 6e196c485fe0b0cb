"""Ready series of LiCSBAS and FLATSIM: signs, units, corners and centres, and every refusal in one sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import insar_scene as scenes
import series_builders as made
from job_builders import job_of
from slipscan.archive.local.archive import Local
from slipscan.archive.local.ready import cube
from slipscan.settings import ArchiveSettings

# LiCSBAS.


def test_licsbas_gives_the_truth_where_its_pixels_are(tmp_path: Path) -> None:
    made.write_licsbas(tmp_path / "TS_GEOC")
    dataset = made.archive(tmp_path, scenes.region("licsbas", "TS_GEOC"))
    made.check_truth(dataset)
    made.check_los(dataset)
    assert dataset.attrs[cube.CORRECTIONS] == []
    made.check_truth(made.archive(tmp_path, scenes.region("licsbas", "TS_GEOC/cum.h5"), as_of=scenes.DATES[4]))


def test_licsbas_layers_beside_it(tmp_path: Path) -> None:
    made.write_licsbas(tmp_path / "TS_GEOCml1", with_los=False)
    (tmp_path / "GEOCml1").mkdir()
    for letter, part in zip("EN", scenes.los()[:2], strict=True):
        part.astype("<f4").tofile(tmp_path / "GEOCml1" / f"{letter}.geo")
    scenes.write_tif(tmp_path / "GEOCml1" / "087A_04900_131313.geo.U.tif", scenes.los()[2])
    mask = np.ones(made.LON.shape, np.float32)
    mask[20, 30] = 0
    (tmp_path / "TS_GEOCml1" / "results").mkdir()
    mask.tofile(tmp_path / "TS_GEOCml1" / "results" / "mask")
    dataset = made.archive(tmp_path, scenes.region("licsbas", "TS_GEOCml1"))
    made.check_los(dataset)
    values = dataset["displacement"]
    assert np.isnan(values.sel(x=made.LON[20, 30], y=made.LAT[20, 30], method="nearest")).all()
    assert int(np.isnan(values).sum()) == len(made.DAYS)

    (tmp_path / "GEOCml1" / "E.geo").write_bytes(b"1234")
    made.refused(tmp_path, scenes.region("licsbas", "TS_GEOCml1"), r"E.geo has 4 bytes, not 50 x 60 float32")


def test_licsbas_filter_is_recorded(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    flags = {
        "filtwidth_yr": 0.1,
        "filtwidth_km": 2.0,
        "hgt_linear_flag": 0,
        "mask": np.ones(made.LON.shape, np.float32),
    }
    made.write_licsbas(tmp_path, "cum_filt.h5", deramp_flag="bl", **flags)
    dataset = made.archive(tmp_path, scenes.region("licsbas", "cum_filt.h5"))
    assert dataset.attrs[cube.CORRECTIONS] == ["filter", "ramp"]
    assert "was filtered (filter, ramp)" in caplog.text and "removed with the ramps" in caplog.text
    made.write_licsbas(tmp_path, "cum_filt.h5", deramp_flag=np.array([]), **flags)
    assert made.archive(tmp_path, scenes.region("licsbas", "cum_filt.h5")).attrs[cube.CORRECTIONS] == ["filter"]


def test_licsbas_refusals(tmp_path: Path) -> None:
    made.write_licsbas(tmp_path, corner_lat=None)
    made.refused(tmp_path, scenes.region("licsbas", "."), r"radar coordinates \(no corner_lat\)")
    made.write_licsbas(tmp_path, post_lat=scenes.STEP)
    made.refused(tmp_path, scenes.region("licsbas", "."), "is not north-up")
    made.write_licsbas(tmp_path, **{"E.geo": -scenes.los()[0]})
    made.refused(tmp_path, scenes.region("licsbas", "."), "impossible for a right-looking ascending")
    made.refused(tmp_path / "..", scenes.region("licsbas", "absent"), "there is no LiCSBAS series")


# FLATSIM.


@pytest.mark.parametrize("los", ["CosNEU", "CosENU"])
def test_flatsim_gives_the_truth(los: str, tmp_path: Path) -> None:
    made.write_flatsim(tmp_path, los)
    dataset = made.archive(tmp_path, scenes.region("flatsim", "."))
    values = dataset["displacement"]
    assert np.isnan(values.sel(x=made.LON[20, 30], y=made.LAT[20, 30], method="nearest")).all()
    assert int(np.isnan(values).sum()) == len(made.DAYS)
    lon, lat = np.meshgrid(dataset["x"], dataset["y"])
    np.testing.assert_allclose(values.values, np.where(np.isnan(values), np.nan, scenes.truth(lon, lat)), atol=1e-8)
    made.check_los(dataset)


def test_flatsim_phase_by_hand(tmp_path: Path) -> None:
    """One cycle of 2 pi away from the satellite is half a wavelength of motion away: -27.73288 mm toward."""
    layers = np.zeros((2, *made.LON.shape))
    layers[0] = 1.0
    layers[1] = 1.0 + 2 * np.pi
    made.write_cube(tmp_path / "CNES_DTs_geo_8rlks.tiff", layers, ["20200103", "20200115"])
    dataset = made.archive(tmp_path, scenes.region("flatsim", "CNES_DTs_geo_8rlks.tiff"))
    np.testing.assert_allclose(dataset["displacement"].values[1], -0.02773288, atol=1e-8)


def test_flatsim_dates_from_a_list(tmp_path: Path) -> None:
    made.write_flatsim(tmp_path, named=False)
    made.refused(tmp_path, scenes.region("flatsim", "."), "have no dates: put list_images.txt beside it")
    lines = [f"{i + 1} {day} 0.0 2020.{i:04d} 0 {10.0 * i}" for i, day in enumerate(made.DAYS)]
    listed = tmp_path / "TS" / "list_images.txt"
    listed.write_text("# 20000101 number date\n" + "\n".join(lines))
    dataset = made.archive(tmp_path, scenes.region("flatsim", "."), as_of="2020-02-10")
    assert [str(day)[:10] for day in dataset["time"].values] == list(scenes.DATES[:4])
    listed.write_text("\n".join(lines[:-1]))
    made.refused(tmp_path, scenes.region("flatsim", "."), "lists 6 dates, but .* has 7 bands")


def test_flatsim_refusals(tmp_path: Path) -> None:
    made.write_flatsim(tmp_path / "a", sign=-1)
    made.refused(tmp_path, scenes.region("flatsim", "a"), "line of sight in .* wrong convention")
    made.write_flatsim(tmp_path / "b")
    cube = tmp_path / "b" / "TS" / "CNES_DTs_geo_8rlks.tiff"
    cube.write_bytes(cube.read_bytes()[:40_000])
    made.refused(tmp_path, scenes.region("flatsim", "b"), "CNES_DTs_geo_8rlks.tiff cannot be read")
    cube.rename(cube.with_name("CNES_DTs_radar_8rlks.tiff"))
    made.refused(
        tmp_path, scenes.region("flatsim", "b"), r"no FLATSIM cube DTs_geo \(only DTs_radar, in radar coordinates\)"
    )
    made.refused(tmp_path, scenes.region("flatsim", "b/TS/CNES_DTs_radar_8rlks.tiff"), "is in radar coordinates")


@pytest.mark.parametrize(
    ("convention", "write"),
    [("mintpy", made.write_mintpy), ("licsbas", made.write_licsbas), ("flatsim", made.write_flatsim)],
)
def test_polygon_outside_and_nothing_up_to_as_of(convention: str, write: Any, tmp_path: Path) -> None:
    write(tmp_path)
    elsewhere = tuple((lon, lat - 5) for lon, lat in scenes.POLYGON)
    made.refused(
        tmp_path, scenes.region(convention, ".", polygon=elsewhere), "polygon lies outside the data of track 087A"
    )
    region = scenes.region(convention, ".")
    assert Local().search(job_of(region, ArchiveSettings(data_root=str(tmp_path))), "2019-01-01").empty
