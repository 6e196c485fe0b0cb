"""The reference area and the grid: what is subtracted, what is refused, how pixels are resampled."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import insar_scene as scenes
from slipscan.errors import SlipscanError
from slipscan.geometry import Grid, utm_crs
from slipscan.store import open_zarr
from slipscan.timeseries import grid as grids
from slipscan.timeseries import interferograms
from slipscan.timeseries.reference import reference_area, reference_medians
from timeseries_builders import SETTINGS, observations


def test_reference_area_is_a_disc_and_its_median_is_robust() -> None:
    grid = Grid(500000.0 + 100 * np.arange(41), 4520000.0 - 100 * np.arange(41), utm_crs(33, 40.8))
    lon, lat = grid.lonlat()
    area = reference_area(grid, float(lon[20, 20]), float(lat[20, 20]), 1000.0)
    assert area.sum() == pytest.approx(np.pi * 100, rel=0.03)
    layer = np.full((1, 41, 41), 0.01)
    layer[0, area] += np.where(np.arange(area.sum()) % 10 == 0, 5.0, 0.0)  # a tenth of it is wild
    assert reference_medians(layer, area, 10)[0][0] == pytest.approx(0.01)


def test_an_interferogram_without_reference_is_left_out_by_name(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    dataset = open_zarr(observations(tmp_path, scenes.scene())).load()
    whole = interferograms.stack_from_interferograms(dataset, SETTINGS)
    dataset["interferogram"].values[2, :20, :20] = np.nan
    name = f"{str(dataset['reference_date'].values[2])[:10]} to {str(dataset['secondary_date'].values[2])[:10]}"
    stack = interferograms.stack_from_interferograms(dataset, SETTINGS)
    assert f"are left out, with fewer than 5 valid pixels in the reference area: {name}" in caplog.text
    np.testing.assert_allclose(stack["displacement"], whole["displacement"], atol=1e-6)


def test_no_reference_is_refused_by_name(tmp_path: Path) -> None:
    dataset = open_zarr(observations(tmp_path, scenes.scene())).load()
    count = dataset.sizes["pair"]
    dataset["interferogram"].values[: count // 2 + 1, :20, :20] = np.nan
    name = f"{str(dataset['reference_date'].values[0])[:10]} to {str(dataset['secondary_date'].values[0])[:10]}"
    with pytest.raises(SlipscanError, match=f"{name} of region TEST .* has 0 valid pixels in the reference area"):
        interferograms.stack_from_interferograms(dataset, SETTINGS)
    dataset["interferogram"].values[: count // 2 + 1] = np.nan
    with pytest.raises(SlipscanError, match=f"{name} of .* others of {count}, has no valid pixel at all: remove"):
        interferograms.stack_from_interferograms(dataset, SETTINGS)
    dataset.attrs["reference_lon"] = 30.0
    with pytest.raises(SlipscanError, match="no pixel within 800 m of the reference point"):
        interferograms.stack_from_interferograms(dataset, SETTINGS)


def test_no_valid_pixel_says_which_setting(tmp_path: Path) -> None:
    dataset = open_zarr(observations(tmp_path, scenes.scene())).load()
    dataset["interferogram"].values[:, 16:, :] = np.nan
    dataset.attrs["region_polygon"] = "POLYGON ((32.51 40.81, 32.61 40.81, 32.61 40.85, 32.51 40.85, 32.51 40.81))"
    with pytest.raises(SlipscanError, match=r"region TEST track 087A has no valid pixel: .*min_pair_fraction"):
        interferograms.stack_from_interferograms(dataset, SETTINGS)


def test_coarse_pixels_are_averages_and_fine_ones_are_native_values(tmp_path: Path) -> None:
    native = Grid(32.5 + 0.002 * np.arange(40), 40.9 - 0.002 * np.arange(40), utm_crs(33, 40).from_epsg(4326))
    values = np.random.default_rng(1).normal(size=(1, 40, 40)).astype(np.float32)
    assert grids.choose_resampling(native, 500.0).name == "average"
    assert grids.choose_resampling(native, 250.0).name == "nearest"
    target = grids.target_grid(native, None, 250.0)
    near = grids.project(values, native, target, grids.choose_resampling(native, 250.0))
    assert np.isin(near[np.isfinite(near)], values).all()
    coarse = grids.target_grid(native, None, 1000.0)
    mean = grids.project(values, native, coarse, grids.choose_resampling(native, 1000.0))
    assert np.nanstd(mean) < 0.4 * values.std()


def test_row_blocks_cover_every_row_once() -> None:
    for rows in range(1, 60):
        for size in (1, 2, 7, 100):
            blocks = grids.row_blocks(rows, size)
            assert [row for block in blocks for row in range(rows)[block]] == list(range(rows))
            assert max(len(range(rows)[block]) for block in blocks) <= size
