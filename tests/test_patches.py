"""Patches that are whole cycles off are found in noise and put back; ground that moves is left as it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from numpy.typing import NDArray
from pyproj import CRS

from slipscan.forward.mogi import mogi_surface
from slipscan.forward.okada import okada_surface
from slipscan.noise.simulate import NoiseModel
from slipscan.patches.find import find_patches
from slipscan.patches.patch import Patch, remove_cycles
from slipscan.settings import TimeseriesSettings
from slipscan.stack import as_stack, open_stack
from slipscan.store import write_zarr
from slipscan.timeseries.series import stack_from_series
from slipscan.vocabulary import CYCLE_M

torch = pytest.importorskip("torch")

Float32 = NDArray[np.float32]
SIDE, EPOCHS, PIXEL_M = 64, 40, 500.0
DAYS = 12.0 * np.arange(EPOCHS)
LOS = np.array([0.6, -0.1, 0.77])
AIR = NoiseModel(turbulence_std_m=8e-3, white_std_m=1e-3, stratified_std=5e-6, ramp_std_m=5e-3)


def air(seed: int, model: NoiseModel = AIR) -> Float32:
    height = 800 + 300 * np.cos(np.arange(SIDE) / 9)[:, None] * np.ones(SIDE)
    return model.simulate(np.random.default_rng(seed), DAYS, height, PIXEL_M)


def disc(row: float, column: float, radius: float) -> NDArray[np.bool_]:
    y, x = np.mgrid[:SIDE, :SIDE]
    return np.hypot(y - row, x - column) <= radius


def with_fault(series: Float32, inside: NDArray[np.bool_], epoch: int, cycles: int) -> Float32:
    out = series.copy()
    out[epoch:, inside] += np.float32(cycles * CYCLE_M)
    return out


def mended(series: Float32) -> Float32:
    out = series.copy()
    remove_cycles(out, find_patches(out))
    return out


@pytest.mark.parametrize("cycles", [-2, -1, 1, 2])
@pytest.mark.parametrize("epoch", [1, 6, 20, EPOCHS - 4])
def test_a_patch_is_put_back_from_its_epoch_on(epoch: int, cycles: int) -> None:
    before = air(1)
    inside = disc(30, 20, 5) & ~disc(33, 22, 2)
    (patch,) = find_patches(with_fault(before, inside, epoch, cycles))
    assert (patch.epoch, patch.cycles) == (epoch, cycles)
    np.testing.assert_allclose(mended(with_fault(before, inside, epoch, cycles)), before, atol=1e-6)


@pytest.mark.parametrize(("white_mm", "share"), [(1.0, 0.1), (3.0, 0.25)])
def test_most_of_what_blocks_make_wrong_is_right_again(white_mm: float, share: float) -> None:
    wrong = left = false = 0
    for seed in range(6):
        model = NoiseModel(
            turbulence_std_m=8e-3, white_std_m=1e-3 * white_mm, stratified_std=5e-6, ramp_std_m=5e-3,
            unwrapping_rate=1.0, unwrapping_size_m=2.5e3, unwrapping_persistent=1.0,
        )  # fmt: skip
        parts = model.parts(np.random.default_rng(seed), DAYS, np.zeros((SIDE, SIDE)), PIXEL_M)
        assert parts.unwrapping is not None
        series = parts.total
        generator = np.random.default_rng(seed)
        series[:, generator.random((SIDE, SIDE)) < 0.1] = np.nan
        series[generator.random(series.shape) < 0.03] = np.nan
        cycles, valid = np.rint(parts.unwrapping / CYCLE_M), np.isfinite(series)
        after = cycles + np.rint((mended(series) - series) / CYCLE_M)
        wrong += int((cycles != 0)[valid].sum())
        left += int((after != 0)[valid].sum())
        false += int(((after != 0) & (cycles == 0).all(0))[valid].sum())  # where no block ever was
    assert wrong > 5000
    assert left < share * wrong
    assert false < 0.01 * wrong


def sources(seed: int) -> Float32:
    """Displacement (y, x) m of a fault at the surface or just below, a dike, a sill, a Mogi source or a plateau."""
    generator = np.random.default_rng(seed)
    y, x = np.mgrid[:SIDE, :SIDE] * 250.0
    east, north = torch.tensor(x.ravel()), torch.tensor(-y.ravel())
    size = SIDE * 250.0
    place = {"east0": size * generator.uniform(0.2, 0.8), "north0": -size * generator.uniform(0.2, 0.8)}
    length = size * generator.uniform(0.08, 0.8)
    fault = {
        "strike_deg": generator.uniform(0, 360), "dip_deg": generator.uniform(5, 90), "length": length,
        "width": length * generator.uniform(0.1, 1), "rake_deg": generator.uniform(-180, 180), "slip": 1.0,
        "depth_top": 0.0,
    }  # fmt: skip
    kind = seed % 6
    if kind == 1:
        fault["depth_top"] = generator.uniform(50, 700)
    elif kind == 2:
        fault |= {"slip": 0.0, "opening": 1.0}
    elif kind == 3:
        fault |= {"slip": 0.0, "opening": 1.0, "dip_deg": 0.0, "depth_top": generator.uniform(80, 1000)}
    if kind == 5:
        distance = np.hypot(x - place["east0"], -y - place["north0"]) / (length / 3)
        field = 1 / (1 + distance ** float(generator.choice([2, 4, 8, 16])))
    else:
        if kind == 4:
            depth = generator.uniform(250, 2500)
            moved = mogi_surface(east, north, **place, depth=depth, volume_change=1e6)
        else:
            moved = okada_surface(east, north, **place, **fault)
        field = (moved.reshape(-1, 3).numpy() @ LOS).reshape(SIDE, SIDE)
    return np.asarray(field / np.abs(field).max() * generator.uniform(0.015, 0.12), np.float32)


@pytest.mark.parametrize("quiet", [0.05, 0.3, 1.0])
def test_ground_that_moves_is_left_alone(quiet: float) -> None:
    for seed in range(24):
        series = np.float32(quiet) * air(seed)
        onset = 4 + seed
        lasts = 1 if seed % 3 else 6
        course = np.clip((np.arange(EPOCHS) - onset + 1) / lasts, 0, 1).astype(np.float32)
        series += course[:, None, None] * sources(seed)
        assert find_patches(series) == (), seed


def test_flips_turn_the_patches_along() -> None:
    series = with_fault(with_fault(air(3), disc(20, 40, 6), 9, 1), disc(45, 15, 4), 25, -1)
    expected = mended(series)
    assert len(find_patches(series)) == 2
    np.testing.assert_allclose(mended(series[:, ::-1].copy()), expected[:, ::-1], atol=1e-6)
    np.testing.assert_allclose(mended(series.transpose(0, 2, 1).copy()), expected.transpose(0, 2, 1), atol=1e-6)
    np.testing.assert_allclose(mended(-series), -expected, atol=1e-6)


def test_a_patch_beside_a_patch_and_one_that_comes_back() -> None:
    before = air(4)
    series = with_fault(with_fault(before, disc(30, 30, 7), 12, 1), disc(30, 30, 3), 12, 1)
    np.testing.assert_allclose(mended(series), before, atol=1e-6)
    series = with_fault(with_fault(before, disc(30, 30, 5), 8, 1), disc(30, 30, 5), 24, -1)
    np.testing.assert_allclose(mended(series), before, atol=1e-6)


@pytest.mark.parametrize("epoch", [5, 20, EPOCHS - 4])
def test_a_patch_of_one_epoch_is_put_back(epoch: int) -> None:
    quiet = np.float32(0.6) * air(4)
    series = quiet.copy()
    series[epoch, disc(30, 30, 5)] += np.float32(CYCLE_M)
    (patch,) = find_patches(series)
    assert (patch.epoch, patch.alone) == (epoch, True)
    np.testing.assert_allclose(mended(series), quiet, atol=1e-6)
    part = series[epoch - 2 : epoch + 2].copy()
    remove_cycles(part, [patch], (epoch - 2, 0, 0))
    np.testing.assert_allclose(part, quiet[epoch - 2 : epoch + 2], atol=1e-6)


def test_what_the_data_do_not_close_off_is_left() -> None:
    before = air(5)
    half_a_scene = np.broadcast_to(np.arange(SIDE)[:, None] > 40, (SIDE, SIDE))
    assert find_patches(with_fault(before, half_a_scene, 12, 1)) == ()
    assert len(find_patches(with_fault(before, disc(30, -1, 6), 12, 1))) == 1  # more than half of its edge has data
    series = with_fault(before, disc(30, 30, 5), 12, 1)
    series[:, disc(30, 30, 9) & ~disc(30, 30, 4)] = np.nan
    assert find_patches(series) == ()


def test_noise_that_hides_a_cycle_is_left() -> None:
    loud = NoiseModel(turbulence_std_m=8e-3, white_std_m=20e-3)
    assert find_patches(with_fault(air(6, loud), disc(30, 30, 8), 20, 1)) == ()


@pytest.mark.parametrize("shape", [(1, 9, 9), (2, 9, 9), (5, 1, 9), (5, 9, 1), (3, 2, 2)])
@pytest.mark.parametrize("value", [np.nan, 0.0, 0.1])
def test_what_is_too_small_or_empty_has_no_patches(shape: tuple[int, ...], value: float) -> None:
    assert find_patches(np.full(shape, value, np.float32)) == ()


def test_a_part_is_mended_as_the_whole() -> None:
    series = with_fault(air(7), disc(30, 20, 6), 12, 1)
    patches = find_patches(series)
    whole = series.copy()
    remove_cycles(whole, patches)
    part = series[10:30, 25:40, 15:60].copy()
    remove_cycles(part, patches, (10, 25, 15))
    np.testing.assert_array_equal(part, whole[10:30, 25:40, 15:60])
    assert patches[0].common(Patch(0, (slice(0, 30), slice(0, 64)), np.ones((30, 64), bool), 1)) < patches[0].pixels


def stack_of(series: Float32) -> xr.Dataset:
    return xr.Dataset(
        {"displacement": (("time", "y", "x"), series, {"units": "m"})},
        coords={
            "time": np.datetime64("2018-01-04", "ns") + np.arange(EPOCHS) * np.timedelta64(12, "D"),
            "y": 4_500_000.0 - PIXEL_M * np.arange(SIDE),
            "x": 500_000.0 + PIXEL_M * np.arange(SIDE),
            "spatial_ref": ((), 0, {"crs_wkt": CRS.from_epsg(32636).to_wkt()}),
        },
    )


def test_a_stack_of_someone_else_is_mended_where_it_is_opened(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    before = air(8)
    series = with_fault(before, disc(30, 20, 6), 12, 1)
    theirs = stack_of(series.copy())
    theirs.to_netcdf(tmp_path / "theirs.nc")
    for opened in (
        open_stack(tmp_path / "theirs.nc"),
        open_stack(tmp_path / "theirs.nc", in_memory=False),
        as_stack(theirs),
    ):
        np.testing.assert_allclose(opened["displacement"].values, before, atol=1e-6)
        np.testing.assert_allclose(opened["displacement"][20:, 28:40, 15:].values, before[20:, 28:40, 15:], atol=1e-6)
    np.testing.assert_array_equal(theirs["displacement"], series)
    assert "1 patch(es) of displacement" in caplog.text
    write_zarr(stack_of(series).assign_attrs(unwrapping_patches=1), tmp_path / "ours.zarr")
    np.testing.assert_array_equal(open_stack(tmp_path / "ours.zarr")["displacement"], series)


@pytest.mark.parametrize("action", ["correct", "report"])
def test_the_time_series_stage_mends_or_counts(action: str, caplog: pytest.LogCaptureFixture) -> None:
    before = air(9)
    settings = TimeseriesSettings(reference_radius_m=3000, min_reference_pixels=5, unwrapping_patches=action)
    inside = disc(30, 20, 6)
    made = {}
    caplog.set_level("INFO", "slipscan")
    for name, series in (("right", before), ("wrong", with_fault(before, inside, 12, 1))):
        theirs = stack_of(series).assign_coords(reference_time=0)
        theirs.attrs |= {"reference_lon": 33.05, "reference_lat": 40.6}
        made[name] = stack_from_series(theirs, settings)
    assert [stack.attrs["unwrapping_patches"] for stack in made.values()] == [0, 1]
    off = made["wrong"]["displacement"].values - made["right"]["displacement"].values
    np.testing.assert_allclose(off[12:, inside], CYCLE_M if action == "report" else 0, atol=1e-6)
    assert "unwrapping errors of the series: 1 patch(es)" in caplog.text
