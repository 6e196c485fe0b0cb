"""Export to LiCSBAS: what its later steps read, and the way back with the same values."""

from __future__ import annotations

import logging
from pathlib import Path

import h5py
import numpy as np
import pytest

import insar_scene as scenes
from export_builders import GEOGRAPHIC, UTM, exported, read_back, same_grid, stack
from slipscan.export import licsbas
from slipscan.geometry import Grid, from_lonlat, to_lonlat


@pytest.mark.parametrize("grid", [UTM, GEOGRAPHIC], ids=["utm", "geographic"])
def test_licsbas_there_and_back(grid: Grid, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    dataset = stack(grid)
    with caplog.at_level(logging.INFO):
        exported(dataset, "licsbas", tmp_path)
    back = read_back(tmp_path, "licsbas", "licsbas")
    assert ("nearest neighbour to EPSG:4326" in caplog.text) == (grid is UTM)
    if grid is GEOGRAPHIC:
        same_grid(back, dataset)
    # Every pixel holds what the stack has in the cell that its centre lies in, by the stack's own edges.
    lon, lat = np.meshgrid(back["x"], back["y"])
    x, y = from_lonlat(lon, lat, grid.crs)
    left, top = grid.transform[2], grid.transform[5]
    column = np.floor((x - left) / grid.spacing[0]).astype(int)
    row = np.floor((top - y) / grid.spacing[1]).astype(int)
    inside = (column >= 0) & (column < len(grid.x)) & (row >= 0) & (row < len(grid.y))
    assert inside.mean() > 0.8
    for name, tolerance in (("displacement", 1e-8), ("height", 0), ("los_east", 0), ("los_up", 0)):
        expected = dataset[name].values[..., row.clip(0, len(grid.y) - 1), column.clip(0, len(grid.x) - 1)].copy()
        expected[..., ~inside] = np.nan
        np.testing.assert_allclose(back[name].values, expected, rtol=0, atol=tolerance)
    whole = np.unique(row[inside] * len(grid.x) + column[inside])
    assert len(whole) > 0.97 * grid.shape[0] * grid.shape[1]  # hardly a pixel is lost


def test_licsbas_files_that_later_steps_read(tmp_path: Path) -> None:
    dataset = stack(GEOGRAPHIC).assign_coords(segment=("time", [0, 0, 0, 1, 1, 1, 1]))
    out = exported(dataset, "licsbas", tmp_path)
    with h5py.File(out / "cum.h5") as file:
        assert {"imdates", "cum", "gap", "vel", "vintercept", "refarea", "mask", "hgt", "E.geo", "U.geo"} <= set(file)
        assert float(file["corner_lat"][()]) == pytest.approx(scenes.NORTH - scenes.STEP / 2)
        assert float(file["corner_lon"][()]) == pytest.approx(scenes.WEST + scenes.STEP / 2)
        assert float(file["post_lat"][()]) == pytest.approx(-scenes.STEP)
        first, last, top, bottom = (int(part) for part in file["refarea"][()].decode().replace("/", ":").split(":"))
        assert (last - first, bottom - top) == (1, 1)
        assert GEOGRAPHIC.x[first] == pytest.approx(scenes.REFERENCE[0], abs=scenes.STEP / 2 + 1e-9)
        assert GEOGRAPHIC.y[top] == pytest.approx(scenes.REFERENCE[1], abs=scenes.STEP / 2 + 1e-9)
        assert list(file["gap"][:, 7, 7]) == [0, 0, 1, 0, 0, 0]
        assert file["cum"].shape == (7, scenes.ROWS, scenes.COLUMNS)
        rate = file["vel"][()]
    assert np.isnan(rate[0, 0])
    results = {path.name: np.fromfile(path, "<f4").reshape(rate.shape) for path in (out / "results").iterdir()}
    assert set(results) == {"vel", "vintercept", "mask", "n_gap", "hgt"}
    np.testing.assert_array_equal(results["vel"], rate)
    assert results["n_gap"][7, 7] == 1 and np.isnan(results["mask"][0, 0]) and results["mask"][7, 7] == 1
    text = (out / "info" / "13parameters.txt").read_text()
    assert "range_samples:  60\n" in text and f"wavelength:  {scenes.WAVELENGTH}" in text
    assert "pixel_spacing_a: " in text.replace("  ", " ")


def test_trend_by_hand() -> None:
    years = np.array([0.0, 1.0, 2.0])
    nan = np.nan
    values = np.array([[[1.0, 1.0, nan]], [[3.0, nan, nan]], [[5.0, 9.0, 2.0]]], np.float32)
    rate, intercept = licsbas.trend(values, years)
    np.testing.assert_allclose(rate, [[2, 4, nan]])
    np.testing.assert_allclose(intercept, [[1, 1, nan]])


def test_geographic_lattice_covers_the_stack() -> None:
    place = licsbas.lattice(UTM)
    corners = np.meshgrid(UTM.x[[0, -1]], UTM.y[[0, -1]])
    lon, lat = to_lonlat(*corners, UTM.crs)
    assert place.grid.x[0] <= lon.min() and place.grid.x[-1] >= lon.max()
    assert place.grid.y[-1] <= lat.min() and place.grid.y[0] >= lat.max()
    assert place.grid.spacing[1] * 111_320 == pytest.approx(500, rel=1e-3)
