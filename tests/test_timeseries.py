"""From interferograms to the stack: the truth is recovered, symmetries hold, what is wrong is refused."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import insar_scene as scenes
from slipscan.errors import SlipscanError
from slipscan.geometry import Grid, read_grid, utm_crs, write_grid
from slipscan.store import open_zarr, same_store, write_zarr
from slipscan.timeseries import interferograms, reading, stage
from slipscan.vocabulary import annotate, check
from timeseries_builders import SETTINGS, observations


def stack_of(directory: Path, made: scenes.Scene, convention: str = "licsar", **changes: object) -> xr.Dataset:
    path = observations(directory, made, convention)
    stage.write_stack(path, directory / "stack.zarr", SETTINGS.model_copy(update=changes))
    return open_zarr(directory / "stack.zarr").load()


def test_truth_is_recovered_alike_through_three_conventions(tmp_path: Path) -> None:
    stacks = {name: stack_of(tmp_path / name, scenes.scene(), name) for name in sorted(scenes.WRITERS)}
    lon, lat = read_grid(stacks["gamma"]).lonlat()
    truth = scenes.truth(lon, lat)
    for stack in stacks.values():
        check(stack, "stack")
        displacement = stack["displacement"].values
        valid = np.isfinite(displacement).all(axis=0)
        assert valid.sum() > 300
        np.testing.assert_allclose(displacement[:, valid], truth[:, valid], atol=5e-4)
        np.testing.assert_allclose(displacement[:, valid], stacks["gamma"]["displacement"].values[:, valid], atol=1e-4)
        assert (displacement[0][valid] == 0).all()
        assert float(stack["temporal_coherence"].min()) > 0.999
        assert stack.attrs["closure_rms_m"] < 1e-5
        norm = stack["los_east"] ** 2 + stack["los_north"] ** 2 + stack["los_up"] ** 2
        np.testing.assert_allclose(norm.values, 1, atol=1e-5)
        assert stack.attrs["history"].splitlines()[-1].startswith("slipscan timeseries: 15 interferograms")
        assert stack.attrs["title"] == "Displacement of Test, track 087A"


def test_nothing_outside_the_polygon(tmp_path: Path) -> None:
    stack = stack_of(tmp_path, scenes.scene())
    lon, lat = read_grid(stack).lonlat()
    west, south, east, north = 32.505, 40.805, 32.615, 40.895
    outside = (lon < west) | (lon > east) | (lat < south) | (lat > north)
    assert outside.any()
    assert np.isnan(stack["displacement"].values[:, outside]).all()
    assert np.isfinite(stack["displacement"].values[:, ~outside]).all()


def test_a_constant_in_one_interferogram_changes_nothing(tmp_path: Path) -> None:
    path = observations(tmp_path, scenes.scene())
    before = interferograms.stack_from_interferograms(open_zarr(path), SETTINGS)
    changed = open_zarr(path).load()
    changed["interferogram"].values[4] += 0.123
    after = interferograms.stack_from_interferograms(changed, SETTINGS)
    np.testing.assert_allclose(before["displacement"], after["displacement"], atol=1e-6)


def test_blocks_do_not_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = observations(tmp_path, scenes.scene())
    whole = interferograms.stack_from_interferograms(open_zarr(path), SETTINGS)
    monkeypatch.setattr(reading, "TILE_VALUES", 2**12)
    pieces = interferograms.stack_from_interferograms(open_zarr(path), SETTINGS)
    for name in whole.data_vars:
        np.testing.assert_allclose(whole[name], pieces[name], atol=1e-9, err_msg=str(name))


def test_threads_do_not_change_a_byte(tmp_path: Path) -> None:
    path = observations(tmp_path, scenes.scene())
    code = (
        "import sys; from pathlib import Path; from slipscan.timeseries.stage import write_stack;"
        "from slipscan.settings import TimeseriesSettings as S;"
        "settings = S(pixel_m=500, reference_radius_m=800, min_reference_pixels=5);"
        "write_stack(Path(sys.argv[1]), Path(sys.argv[2]), settings)"
    )
    for threads in ("1", "2"):
        env = os.environ | {"OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads}
        subprocess.run([sys.executable, "-c", code, str(path), str(tmp_path / threads)], env=env, check=True)
    assert same_store(tmp_path / "1", tmp_path / "2")


def test_unwrapping_error_shows_in_closure_and_std_but_not_elsewhere(tmp_path: Path) -> None:
    path = observations(tmp_path, scenes.scene())
    dataset = open_zarr(path).load()
    dataset["interferogram"].values[5, 25:40, 30:45] += 0.02773
    settings = SETTINGS.model_copy(update={"unwrapping_errors": "report"})
    stack = interferograms.stack_from_interferograms(dataset, settings)
    wrong = stack["closure_rms"].values > 1e-3
    assert 20 < wrong.sum() < 120
    std = stack["inversion_std"].values[-1]
    assert np.nanmin(std[wrong]) > 10 * np.nanmedian(std[~wrong & np.isfinite(std)])
    assert 0 < stack.attrs["closure_error_share"] < 0.1


def test_coherence_masks(tmp_path: Path) -> None:
    dataset = open_zarr(observations(tmp_path, scenes.scene())).load()
    dataset["coherence"].values[:, 30:40, 30:40] = 0.05
    stack = interferograms.stack_from_interferograms(dataset, SETTINGS)
    full = interferograms.stack_from_interferograms(dataset, SETTINGS.model_copy(update={"min_coherence": 0.0}))
    lost = np.isnan(stack["displacement"].values[-1]) & np.isfinite(full["displacement"].values[-1])
    assert 8 < lost.sum() < 40


def test_a_pixel_that_disagrees_with_itself_is_masked_by_temporal_coherence(tmp_path: Path) -> None:
    dataset = open_zarr(observations(tmp_path, scenes.scene())).load()
    noise = np.random.default_rng(0).uniform(-0.02, 0.02, (dataset.sizes["pair"], 8, 8))
    dataset["interferogram"].values[:, 30:38, 30:38] += noise
    stack = interferograms.stack_from_interferograms(dataset, SETTINGS.model_copy(update={"pixel_m": 200.0}))
    bad = stack["temporal_coherence"].values < 0.5
    assert bad.any()
    assert np.isnan(stack["displacement"].values[:, bad]).all()


def test_disconnected_network_names_the_gap(tmp_path: Path) -> None:
    path = observations(tmp_path, scenes.scene([(0, 1), (1, 2), (0, 2), (3, 4), (4, 5), (3, 5), (5, 6)]))
    with pytest.raises(SlipscanError, match=r"region TEST track 087A is disconnected.* 2020-01-27 to 2020-02-08") as e:
        stage.write_stack(path, tmp_path / "stack.zarr", SETTINGS)
    assert "\n" not in str(e.value)
    assert not (tmp_path / "stack.zarr").exists()


def test_split_at_the_gap_gives_each_part_its_own_zero(tmp_path: Path) -> None:
    made = scenes.scene([(0, 1), (1, 2), (0, 2), (3, 4), (4, 5), (3, 5), (5, 6)])
    stack = stack_of(tmp_path, made, disconnected="split")
    assert stack["segment"].values.tolist() == [0, 0, 0, 1, 1, 1, 1]
    truth = scenes.truth(*read_grid(stack).lonlat())
    truth[3:] -= truth[3]
    displacement = stack["displacement"].values
    valid = np.isfinite(displacement).all(axis=0)
    assert valid.any()
    np.testing.assert_allclose(displacement[:, valid], truth[:, valid], atol=5e-4)
    assert (displacement[3][valid] == 0).all()


def series(geographic: bool) -> xr.Dataset:
    if geographic:
        lon, lat = scenes.lonlat()
        grid = Grid(lon[0], lat[:, 0], utm_crs(33, 40).from_epsg(4326))
    else:
        grid = Grid(458250.0 + 500 * np.arange(18), 4527750.0 - 500 * np.arange(20), utm_crs(32.5, 40.8))
    values = scenes.truth(*grid.lonlat()) + np.linspace(0, 0.3, len(scenes.DATES))[:, None, None]
    dataset = xr.Dataset(
        {"displacement": (("time", "y", "x"), values)}, coords={"time": np.array(scenes.DATES, "datetime64[ns]")}
    )
    return annotate(write_grid(dataset, grid), "stack")


@pytest.mark.parametrize("geographic", [True, False])
def test_ready_series_is_referenced_and_metric(geographic: bool, tmp_path: Path) -> None:
    dataset = series(geographic)
    dataset.attrs |= {"reference_lon": scenes.REFERENCE[0], "reference_lat": scenes.REFERENCE[1]}
    write_zarr(dataset, tmp_path / "in.zarr")
    stage.write_stack(tmp_path / "in.zarr", tmp_path / "stack.zarr", SETTINGS)
    stack = open_zarr(tmp_path / "stack.zarr")
    grid = read_grid(stack)
    assert not grid.crs.is_geographic
    displacement = stack["displacement"].values
    valid = np.isfinite(displacement).all(axis=0)
    assert valid.sum() > 300
    # The average over 500 m lies up to 0.5 mm below the top of the bell.
    np.testing.assert_allclose(displacement[:, valid], scenes.truth(*grid.lonlat())[:, valid], atol=1e-3)


def test_foreign_files_without_our_attributes(tmp_path: Path) -> None:
    write_zarr(series(False), tmp_path / "in.zarr")
    stage.write_stack(tmp_path / "in.zarr", tmp_path / "stack.zarr", SETTINGS)
    stack = open_zarr(tmp_path / "stack.zarr")
    np.testing.assert_array_equal(stack["displacement"].values, series(False)["displacement"].values)

    dataset = open_zarr(observations(tmp_path, scenes.scene())).load()
    dataset.attrs = {}
    write_zarr(annotate(dataset, "interferograms"), tmp_path / "foreign.zarr")
    unmasked = SETTINGS.model_copy(update={"min_temporal_coherence": 0.0})
    stage.write_stack(tmp_path / "foreign.zarr", tmp_path / "foreign_stack.zarr", unmasked)
    stack = open_zarr(tmp_path / "foreign_stack.zarr")
    # Not referenced: the interferograms' constants stay and spoil the coherence, alike for every pixel of an epoch.
    displacement = stack["displacement"].values
    spread = displacement - scenes.truth(*read_grid(stack).lonlat())
    assert np.nanmax(np.nanstd(spread, axis=(1, 2))) < 1e-3


def test_what_breaks_the_contract_is_refused(tmp_path: Path) -> None:
    dataset = series(False)
    dataset["displacement"].attrs["units"] = "inch"
    write_zarr(dataset, tmp_path / "in.zarr")
    with pytest.raises(SlipscanError, match="units 'inch', not 'm'"):
        stage.write_stack(tmp_path / "in.zarr", tmp_path / "stack.zarr", SETTINGS)
    assert not (tmp_path / "stack.zarr").exists()
