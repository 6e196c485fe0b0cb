"""From interferograms to the stack: the truth is recovered, symmetries hold, what is wrong is refused."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import insar_scene as scenes
from slipscan.archive import stage as archive_stage
from slipscan.errors import SlipscanError
from slipscan.geometry import Grid, read_grid, utm_crs, write_grid
from slipscan.settings import ArchiveSettings, TimeseriesSettings
from slipscan.store import open_zarr, same_store, write_zarr
from slipscan.timeseries import grid as grids
from slipscan.timeseries import interferograms, plan, stage
from slipscan.timeseries.closure import ClosureSummary, closures
from slipscan.timeseries.inversion import invert, temporal_coherence, weight_of_coherence
from slipscan.timeseries.network import Network, build_network, parts, segments, triangles
from slipscan.timeseries.reference import reference_area, reference_medians
from slipscan.vocabulary import annotate, check

SETTINGS = TimeseriesSettings(pixel_m=500.0, reference_radius_m=800.0, min_reference_pixels=5)


def observations(directory: Path, made: scenes.Scene, convention: str = "licsar") -> Path:
    """Write a scene's files and read them as product 'interferograms'."""
    scenes.WRITERS[convention](directory / "data", made)
    region = scenes.region(convention)
    track, archive = region.tracks[0], ArchiveSettings(data_root=str(directory / "data"))
    archive_stage.write_manifest(region, track, archive, "2026-01-01", directory / "manifest.csv")
    out = directory / "observations.zarr"
    archive_stage.write_observations(
        region, track, archive, directory / "manifest.csv", directory, out, directory / "inventory.csv"
    )
    return out


def stack_of(directory: Path, made: scenes.Scene, convention: str = "licsar", **changes: object) -> xr.Dataset:
    path = observations(directory, made, convention)
    stage.write_stack(path, directory / "stack.zarr", SETTINGS.model_copy(update=changes))
    return open_zarr(directory / "stack.zarr").load()


def network_of(pairs: list[tuple[int, int]], count: int) -> Network:
    dates = np.datetime64("2020-01-01", "ns") + np.arange(count) * np.timedelta64(12, "D")
    reference, secondary = np.array(pairs).T
    return build_network(dates[reference], dates[secondary])


PAIRS = [(0, 1), (0, 2), (1, 2), (1, 3), (2, 3), (2, 4), (3, 4)]


# The chain.


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
    monkeypatch.setattr(plan, "TILE_VALUES", 2**12)
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


# The network.


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


def test_interleaved_parts_are_named_too() -> None:
    network = network_of([(0, 2), (1, 3)], 4)
    with pytest.raises(SlipscanError, match="in 2 parts") as error:
        segments(network, "error", "here")
    assert "no interferogram crosses" not in str(error.value)
    assert parts(network).tolist() == [0, 1, 0, 1]


def test_triangles_by_hand() -> None:
    network = network_of(PAIRS, 5)
    assert triangles(network).tolist() == [[0, 2, 1], [2, 4, 3], [4, 6, 5]]
    assert triangles(network_of([(0, 1), (1, 2)], 3)).shape == (0, 3)


def test_pairs_that_are_refused() -> None:
    dates = np.array(["2020-01-01", "2020-01-13"], "datetime64[ns]")
    with pytest.raises(SlipscanError, match="not older"):
        build_network(dates[[1]], dates[[0]])
    with pytest.raises(SlipscanError, match="2020-01-01 to 2020-01-13 is there twice"):
        build_network(dates[[0, 0]], dates[[1, 1]])
    with pytest.raises(SlipscanError, match="no interferogram"):
        build_network(dates[:0], dates[:0])


# The inversion.


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**32 - 1))
def test_inversion_equals_least_squares_pixel_by_pixel(seed: int) -> None:
    generator = np.random.default_rng(seed)
    network = network_of(PAIRS, 5)
    weight = generator.uniform(0.2, 2, len(PAIRS))
    observed = generator.normal(size=(len(PAIRS), 12))
    observed[generator.uniform(size=observed.shape) < 0.15] = np.nan
    solution = invert(network, np.zeros(5, np.int64), observed, weight)
    design = np.zeros((len(PAIRS), 5))
    design[np.arange(len(PAIRS)), network.reference] = -1
    design[np.arange(len(PAIRS)), network.secondary] = 1
    for pixel, values in enumerate(observed.T):
        valid = np.isfinite(values)
        rows = design[valid, 1:] * np.sqrt(weight[valid])[:, None]
        got = solution.displacement[:, pixel]
        if np.linalg.matrix_rank(rows) < 4:
            assert np.isnan(got).any()  # never a minimum-norm guess
            continue
        expected, *_ = np.linalg.lstsq(rows, values[valid] * np.sqrt(weight[valid]))
        np.testing.assert_allclose(got[1:], expected, atol=1e-9)
        assert got[0] == 0


def test_epochs_that_a_pixel_cannot_reach_are_nan() -> None:
    network = network_of(PAIRS, 5)
    truth = np.array([0.0, 1.0, 3.0, 4.0, 9.0])
    observed = np.repeat((truth[network.secondary] - truth[network.reference])[:, None], 3, axis=1)
    observed[5:, 0] = np.nan  # no pair to the last epoch
    observed[:2, 1] = np.nan  # no pair from the first
    solution = invert(network, np.zeros(5, np.int64), observed, np.ones(len(PAIRS)))
    np.testing.assert_allclose(solution.displacement[:, 0], [0, 1, 3, 4, np.nan], atol=1e-12)
    assert np.isnan(solution.displacement[:, 1]).all()
    np.testing.assert_allclose(solution.displacement[:, 2], truth, atol=1e-12)


def test_std_is_the_scatter_of_many_pixels() -> None:
    generator = np.random.default_rng(5)
    network = network_of(PAIRS, 5)
    observed = generator.normal(0, 0.003, (len(PAIRS), 4000))
    solution = invert(network, np.zeros(5, np.int64), observed, np.ones(len(PAIRS)))
    scatter = solution.displacement.std(axis=1)
    formal = np.sqrt((solution.std**2).mean(axis=1))
    np.testing.assert_allclose(formal[1:], scatter[1:], rtol=0.1)
    assert (solution.std[0] == 0).all()


def test_no_redundancy_gives_no_std() -> None:
    network = network_of([(0, 1), (1, 2)], 3)
    solution = invert(network, np.zeros(3, np.int64), np.ones((2, 4)), np.ones(2))
    assert np.isnan(solution.std).all()
    np.testing.assert_allclose(solution.displacement[:, 0], [0, 1, 2])


def test_temporal_coherence_by_hand() -> None:
    wavelength = 4 * np.pi  # a residual of 1 m is 1 rad
    residual = np.array([[0.0, 0.0, np.nan, np.nan], [0.0, np.pi, 1.0, np.nan]])
    np.testing.assert_allclose(temporal_coherence(residual, wavelength), [1, 0, 1, np.nan], atol=1e-6)


def test_coherent_pairs_weigh_more() -> None:
    weight = weight_of_coherence(np.array([0.0, 0.3, 0.6, 0.9, 1.0]))
    assert (np.diff(weight) > 0).all()
    assert np.isfinite(weight).all()
    # (g^2 / (1 - g^2)) of 0.6 over 0.3
    assert weight[2] / weight[1] == pytest.approx((0.36 / 0.64) / (0.09 / 0.91))


def test_closure_by_hand() -> None:
    summary = ClosureSummary(0.01)
    observed = np.array([[1.0, 1.0, np.nan], [2.0, 2.0, 2.0], [3.0, 3.02, 3.0]])
    rms = summary.add(closures(observed, np.array([[0, 1, 2]])))
    np.testing.assert_allclose(rms, [0, 0.02, np.nan], atol=1e-12)
    attributes = summary.attributes(1)
    assert attributes["closure_error_share"] == 0.5
    assert attributes["closure_rms_m"] == pytest.approx(0.02 / np.sqrt(2))
    assert ClosureSummary(0.01).attributes(0) == {}


# The reference.


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


# Grids.


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


# A ready series, and foreign files.


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
