"""The archive 'local': three conventions and ready series, real files, and every refusal in one sentence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import insar_scene as scenes
from job_builders import job_of, observed
from slipscan.archive import manifest, stage
from slipscan.archive.job import data_root
from slipscan.archive.local.archive import Local
from slipscan.archive.local.finding import find_pairs
from slipscan.archive.local.interferograms import read_interferograms
from slipscan.archive.reading.conventions import CONVENTIONS
from slipscan.errors import SlipscanError
from slipscan.geometry import Grid, utm_crs, write_grid
from slipscan.regions import Region
from slipscan.settings import ArchiveSettings
from slipscan.store import open_zarr, write_zarr
from slipscan.vocabulary import annotate

AS_OF = "2026-01-01"


def archive(directory: Path, region: Region, out: Path, as_of: str = AS_OF) -> xr.Dataset:
    """Run manifest and observations through files, as the rules do."""
    settings = ArchiveSettings(data_root=str(directory))
    return open_zarr(observed(job_of(region, settings, out), as_of, out)).load()


@pytest.mark.parametrize("convention", sorted(CONVENTIONS))
def test_every_convention_gives_metres_toward_the_satellite(convention: str, tmp_path: Path) -> None:
    made = scenes.scene()
    scenes.WRITERS[convention](tmp_path / "data", made)
    dataset = archive(tmp_path / "data", scenes.region(convention), tmp_path)

    assert dataset.sizes["pair"] == len(made.pairs)
    lon, lat = np.meshgrid(dataset["x"], dataset["y"])
    truth = scenes.truth(lon, lat)
    for pair, (i, j) in enumerate(made.pairs):
        assert str(dataset["reference_date"].values[pair])[:10] == made.dates[i]
        assert str(dataset["secondary_date"].values[pair])[:10] == made.dates[j]
        difference = dataset["interferogram"].values[pair] - (truth[j] - truth[i])
        assert np.ptp(difference) < 1e-6  # all that is left is the interferogram's constant
    east, north, up = (part.mean() for part in scenes.los())
    assert dataset["los_east"].values.mean() == pytest.approx(east, abs=1e-5)
    assert dataset["los_north"].values.mean() == pytest.approx(north, abs=1e-5)
    assert dataset["los_up"].values.mean() == pytest.approx(up, abs=1e-5)
    assert dataset["coherence"].values.mean() == pytest.approx(0.7, abs=0.003)
    assert dataset["height"].values.mean() == pytest.approx(scenes.height().mean(), rel=0.01)
    assert dataset.attrs["data_until"] == made.dates[-1]
    assert dataset.attrs["region_polygon"].startswith("POLYGON")


def test_extents_that_differ_are_clipped_to_the_common_one(tmp_path: Path) -> None:
    scenes.write_hyp3(tmp_path, scenes.scene())
    region = scenes.region("hyp3")
    table = Local().search(job_of(region, ArchiveSettings(data_root=str(tmp_path))), AS_OF)
    dataset = read_interferograms(tmp_path, region.tracks[0].local, region.tracks[0], table)
    assert dataset["x"].values[0] == pytest.approx(scenes.WEST + 1.5 * scenes.STEP)
    assert dataset["y"].values[0] == pytest.approx(scenes.NORTH - 2.5 * scenes.STEP)


def test_only_the_polygon_and_the_reference_point_are_read(tmp_path: Path) -> None:
    scenes.write_gamma(tmp_path / "data", scenes.scene([(0, 1)]))
    small = ((32.51, 40.88), (32.515, 40.88), (32.515, 40.885), (32.51, 40.885), (32.51, 40.88))
    dataset = archive(tmp_path / "data", scenes.region("gamma", polygon=small), tmp_path)
    assert dataset.sizes["x"] < scenes.COLUMNS
    assert dataset.sizes["y"] < scenes.ROWS
    assert dataset["y"].values[-1] < 40.88 - 0.02


def test_zero_and_nan_are_no_data(tmp_path: Path) -> None:
    made = scenes.scene([(0, 1), (1, 2)])
    made.displacement[1, 10, 20] = np.nan
    scenes.write_licsar(tmp_path / "data", made)
    dataset = archive(tmp_path / "data", scenes.region("licsar"), tmp_path)
    invalid = np.isnan(dataset["interferogram"].values)
    assert invalid.sum() == 2
    assert invalid[:, 10, 20].all()


def test_manifest_holds_what_was_acquired_up_to_as_of(tmp_path: Path) -> None:
    made = scenes.scene()
    scenes.write_gamma(tmp_path / "data", made)
    dataset = archive(tmp_path / "data", scenes.region("gamma"), tmp_path, as_of=made.dates[2])
    table = manifest.read(tmp_path / "manifest.csv")
    assert table["secondary_date"].max() == made.dates[2]
    assert len(table) == dataset.sizes["pair"] == 3
    inventory = pd.read_csv(tmp_path / "inventory.csv")
    assert list(inventory["name"]) == sorted(inventory["name"])
    assert len(inventory) == 3 + 3 + 1  # interferograms, coherence, DEM

    region = scenes.region("gamma")
    with pytest.raises(SlipscanError, match=r"TEST track 087A has no interferogram up to as_of 2019-01-01"):
        archive(tmp_path / "data", region, tmp_path, as_of="2019-01-01")


def test_pinned_manifest_is_replayed_without_a_search(tmp_path: Path) -> None:
    scenes.write_gamma(tmp_path / "data", scenes.scene())
    region = scenes.region("gamma")
    archive(tmp_path / "data", region, tmp_path, as_of="2020-02-01")
    (tmp_path / "pinned").mkdir()
    (tmp_path / "manifest.csv").rename(tmp_path / "pinned" / "TEST_087A.csv")
    settings = ArchiveSettings(manifests=str(tmp_path / "pinned"))
    stage.write_manifest(job_of(region, settings), AS_OF, tmp_path / "manifest.csv")
    assert (tmp_path / "manifest.csv").read_bytes() == (tmp_path / "pinned" / "TEST_087A.csv").read_bytes()


def test_a_file_changed_since_the_manifest_is_refused(tmp_path: Path) -> None:
    made = scenes.scene()
    scenes.write_gamma(tmp_path / "data", made)
    region = scenes.region("gamma")
    settings = ArchiveSettings(data_root=str(tmp_path / "data"))
    table = Local().search(job_of(region, settings), AS_OF)
    made.displacement *= 2
    scenes.write_gamma(tmp_path / "data", made)
    with pytest.raises(SlipscanError, match="is not the file of the manifest"):
        Local().files(table, job_of(region, settings, tmp_path))


def test_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    scenes.write_hyp3(tmp_path / "data", scenes.scene())
    first = archive(tmp_path / "data", scenes.region("hyp3"), tmp_path / "one")
    again = archive(tmp_path / "data", scenes.region("hyp3"), tmp_path / "two")
    assert first.identical(again)
    assert (tmp_path / "one" / "inventory.csv").read_bytes() == (tmp_path / "two" / "inventory.csv").read_bytes()


# What is refused, in one sentence.


def refused(directory: Path, region: Region, out: Path, match: str) -> None:
    with pytest.raises(SlipscanError, match=match) as raised:
        archive(directory, region, out)
    assert "\n" not in str(raised.value)
    assert not (out / "observations.zarr").exists()
    assert not (out / "inventory.csv").exists()


def test_mixed_conventions_name_a_file_and_both(tmp_path: Path) -> None:
    scenes.write_gamma(tmp_path / "data", scenes.scene())
    scenes.write_licsar(tmp_path / "data" / "more", scenes.scene([(0, 1)]))
    refused(tmp_path / "data", scenes.region("gamma"), tmp_path, r"20200103_20200115\.geo\.unw\.tif .* licsar.* gamma")
    refused(tmp_path / "data", scenes.region("licsar"), tmp_path, r"unw\.tif .* gamma.* licsar")


def test_truncated_geotiff_is_named(tmp_path: Path) -> None:
    scenes.write_gamma(tmp_path / "data", scenes.scene())
    victim = sorted((tmp_path / "data").rglob("*unw.tif"))[3]
    victim.write_bytes(victim.read_bytes()[:3000])
    refused(tmp_path / "data", scenes.region("gamma"), tmp_path, f"{victim.name} cannot be read")
    victim.write_bytes(b"no GeoTIFF")
    refused(tmp_path / "data", scenes.region("gamma"), tmp_path, f"{victim.name} cannot be read as a GeoTIFF")


def test_polygon_outside_the_data(tmp_path: Path) -> None:
    scenes.write_licsar(tmp_path / "data", scenes.scene([(0, 1)]))
    elsewhere = tuple((lon + 3, lat) for lon, lat in scenes.POLYGON)
    region = scenes.region("licsar", polygon=elsewhere)
    refused(
        tmp_path / "data",
        region,
        tmp_path,
        r"region TEST's polygon lies outside the data of track 087A \(data: 32\.500 to 32\.620 E.*polygon: 35\.505",
    )


def test_line_of_sight_from_satellite_to_ground_is_refused(tmp_path: Path) -> None:
    scenes.write_licsar(tmp_path / "data", scenes.scene([(0, 1)]), sign=-1)
    refused(tmp_path / "data", scenes.region("licsar"), tmp_path, "line of sight in .* wrong convention")


def test_wrong_orbit_direction_is_refused(tmp_path: Path) -> None:
    scenes.write_hyp3(tmp_path / "data", scenes.scene([(0, 1)]))
    region = scenes.region("hyp3")
    track = region.tracks[0].model_copy(update={"orbit_direction": "descending"})
    refused(
        tmp_path / "data", region.model_copy(update={"tracks": (track,)}), tmp_path, "impossible for a right-looking"
    )


def test_pairs_that_are_no_pairs(tmp_path: Path) -> None:
    blank = np.ones((scenes.ROWS, scenes.COLUMNS), np.float32)
    scenes.write_tif(tmp_path / "a" / "20200115_20200103.geo.unw.tif", blank)
    with pytest.raises(SlipscanError, match="the older date comes first"):
        find_pairs(tmp_path / "a", "licsar")
    scenes.write_tif(tmp_path / "b" / "one" / "20200103_20200115.geo.unw.tif", blank)
    scenes.write_tif(tmp_path / "b" / "two" / "20200103_20200115.geo.unw.tif", blank)
    with pytest.raises(SlipscanError, match="2020-01-03 to 2020-01-15 twice"):
        find_pairs(tmp_path / "b", "licsar")
    scenes.write_tif(tmp_path / "c" / "20200103_20201315.geo.unw.tif", blank)
    with pytest.raises(SlipscanError, match="20201315, which is no date"):
        find_pairs(tmp_path / "c", "licsar")
    with pytest.raises(SlipscanError, match="there is no directory"):
        find_pairs(tmp_path / "d", "licsar")


def test_another_posting_or_lattice_is_refused(tmp_path: Path) -> None:
    scenes.write_licsar(tmp_path / "data", scenes.scene([(0, 1)]))
    target = next((tmp_path / "data").rglob("*.geo.hgt.tif"))
    scenes.write_tif(target, scenes.height(), row=0.4)
    refused(tmp_path / "data", scenes.region("licsar"), tmp_path, "lies between the pixels of")


def test_a_raster_without_crs_is_refused(tmp_path: Path) -> None:
    import rasterio
    from affine import Affine

    scenes.write_gamma(tmp_path / "data", scenes.scene([(0, 1)]))
    victim = next((tmp_path / "data").rglob("*unw.tif"))
    shape = (scenes.ROWS, scenes.COLUMNS)
    with rasterio.open(victim, "w", "GTiff", shape[1], shape[0], 1, None, Affine(1, 0, 5, 0, -1, 5), "float32") as file:
        file.write(np.ones(shape, np.float32), 1)
    refused(tmp_path / "data", scenes.region("gamma"), tmp_path, f"{victim.name} has no CRS")


def test_coherence_on_another_scale_is_refused(tmp_path: Path) -> None:
    scenes.write_gamma(tmp_path / "data", scenes.scene([(0, 1)]), coherence=178.0)
    refused(tmp_path / "data", scenes.region("gamma"), tmp_path, "not the scale of the convention gamma")


def test_data_root_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SLIPSCAN_DATA", raising=False)
    with pytest.raises(SlipscanError, match="data_root in the config, or SLIPSCAN_DATA"):
        data_root(ArchiveSettings())
    monkeypatch.setenv("SLIPSCAN_DATA", str(tmp_path))
    assert data_root(ArchiveSettings()) == tmp_path
    with pytest.raises(SlipscanError, match="is no directory"):
        data_root(ArchiveSettings(data_root=str(tmp_path / "absent")))


# Ready series.


def ready_series(units: str | None, factor: float, ascending_y: bool = False) -> xr.Dataset:
    """The scene's truth on a UTM grid of 500 m."""
    x, y = 458250.0 + 500 * np.arange(20), 4527750.0 - 500 * np.arange(22)
    grid = Grid(x, y, utm_crs(32.5, 40.8))
    values = scenes.truth(*grid.lonlat()) * factor
    array = xr.DataArray(values, dims=("time", "y", "x"), attrs={} if units is None else {"units": units})
    dataset = xr.Dataset({"displacement": array}, coords={"time": pd.to_datetime(scenes.DATES)})
    dataset = write_grid(dataset, grid)
    return dataset.isel(y=slice(None, None, -1)) if ascending_y else dataset


@pytest.mark.parametrize(("units", "factor"), [("m", 1.0), ("cm", 100.0), ("mm", 1000.0)])
def test_ready_netcdf_in_any_known_unit(units: str, factor: float, tmp_path: Path) -> None:
    ready_series(units, factor, ascending_y=units == "mm").to_netcdf(tmp_path / "series.nc", engine="netcdf4")
    dataset = archive(tmp_path, scenes.region("displacement", "series.nc"), tmp_path, as_of="2020-02-20")
    assert dataset.attrs["product"] == "stack"
    assert dataset.attrs["data_until"] == "2020-02-20"
    expected = ready_series("m", 1.0)["displacement"].sel(
        time=slice(None, "2020-02-20"), x=dataset["x"], y=dataset["y"]
    )
    np.testing.assert_allclose(dataset["displacement"].values, expected.values, atol=1e-6)
    assert dataset.sizes["time"] == 5


def test_ready_zarr(tmp_path: Path) -> None:
    write_zarr(annotate(ready_series("m", 1.0), "stack"), tmp_path / "series.zarr")
    dataset = archive(tmp_path, scenes.region("displacement", "series.zarr"), tmp_path)
    assert float(dataset["displacement"].max()) == pytest.approx(0.06, rel=0.02)
    assert len(pd.read_csv(tmp_path / "inventory.csv")) > 3


@pytest.mark.parametrize("units", [None, "feet", "rad"])
def test_unknown_units_are_an_error(units: str | None, tmp_path: Path) -> None:
    ready_series(units, 1.0).to_netcdf(tmp_path / "series.nc", engine="netcdf4")
    refused(tmp_path, scenes.region("displacement", "series.nc"), tmp_path, "has units .* write m, cm or mm")


def test_ready_series_outside_the_polygon(tmp_path: Path) -> None:
    ready_series("m", 1.0).to_netcdf(tmp_path / "series.nc", engine="netcdf4")
    elsewhere = tuple((lon, lat - 5) for lon, lat in scenes.POLYGON)
    region = scenes.region("displacement", "series.nc", polygon=elsewhere)
    refused(tmp_path, region, tmp_path, "polygon lies outside the data of track 087A")


# Stations.


def test_stations_are_copied_or_none(tmp_path: Path) -> None:
    (tmp_path / "gnss").mkdir()
    (tmp_path / "gnss" / "ABCD.tenv3").write_text("x")
    settings = ArchiveSettings(data_root=str(tmp_path))
    stage.write_stations(scenes.region("gamma", gnss="gnss"), settings, None, tmp_path / "one")
    assert [path.name for path in (tmp_path / "one").glob("[!.]*")] == ["ABCD.tenv3"]
    stage.write_stations(scenes.region("gamma"), settings, None, tmp_path / "two")
    assert list((tmp_path / "two").iterdir()) == []
    with pytest.raises(SlipscanError, match=r"holds no \.tenv3 file"):
        stage.write_stations(scenes.region("gamma"), settings, str(tmp_path / "two"), tmp_path / "three")
    assert not (tmp_path / "three").exists()
    with pytest.raises(SlipscanError, match="only simulated regions have a truth"):
        stage.write_truth(scenes.region("gamma"), settings, tmp_path / "truth.json")
