"""An update of a stack equals a run of all interferograms, whatever has changed between the two."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import network_scene as scenes
from slipscan.settings import TimeseriesSettings
from slipscan.store import open_zarr, same_store, write_zarr
from slipscan.timeseries import elimination, memory, network, settled, stage, updating
from update_builders import ADDED, EPOCHS, SETTINGS, SHAPE, everything, replaced


@pytest.fixture(autouse=True)
def short_series(monkeypatch: pytest.MonkeyPatch) -> None:
    """Updates of short series, which would gain too little."""
    monkeypatch.setattr(updating, "LARGEST_SHARE", 1.0)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cache of a run of the first epochs."""
    directory = tmp_path_factory.mktemp("kept")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(updating, "LARGEST_SHARE", 1.0)
        run(directory, until(everything(), EPOCHS))
    return directory / "cache"


def in_components(made: xr.Dataset) -> xr.Dataset:
    """With the right third of every fifth interferogram unwrapped apart, a cycle too high in half of these."""
    values = made["interferogram"].values
    component = np.ones(values.shape, np.int16)
    component[::5, :, 8:] = 2
    values[::10, :, 8:] += scenes.HALF
    return made.assign(component=(made["interferogram"].dims, component))


def until(made: xr.Dataset, epochs: int) -> xr.Dataset:
    return made.isel(pair=made["secondary_date"].values <= scenes.dates(epochs)[-1])


def run(directory: Path, made: xr.Dataset, settings: TimeseriesSettings = SETTINGS, cached: bool = True) -> xr.Dataset:
    write_zarr(made, directory / "observations.zarr")
    cache_dir = directory / "cache" if cached else None
    stage.write_stack(directory / "observations.zarr", directory / "stack.zarr", settings, cache_dir=cache_dir)
    return open_zarr(directory / "stack.zarr").load()


def assert_alike(update: xr.Dataset, full: xr.Dataset) -> None:
    """To a thousandth of sigma, and with the same attributes."""
    for name in ("displacement", "inversion_std"):
        np.testing.assert_array_equal(np.isnan(update[name]), np.isnan(full[name]), err_msg=name)
        difference = np.abs(update[name].astype(float) - full[name])
        assert float((difference - 1e-3 * full["inversion_std"].fillna(0)).max()) < 1e-8, name
    for name in ("temporal_coherence", "closure_rms", "unwrapping_error_share", "phase_bias"):
        np.testing.assert_allclose(update[name], full[name], atol=1e-5, err_msg=name)
    assert update.attrs.keys() == full.attrs.keys()
    for name, value in full.attrs.items():
        assert update.attrs[name] == (pytest.approx(value, rel=1e-4) if isinstance(value, float) else value), name


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.slow), pytest.param(3, marks=pytest.mark.slow)])
def test_an_update_equals_a_run_of_all(tmp_path: Path, caplog: pytest.LogCaptureFixture, seed: int) -> None:
    made = in_components(everything(seed)) if seed < 3 else everything(seed)
    before = run(tmp_path, until(made, EPOCHS))
    assert not float(before["displacement"].isnull().all("time").all())
    for epochs in (EPOCHS + 1, EPOCHS + ADDED) if seed > 1 else (EPOCHS + ADDED,):
        with caplog.at_level(logging.INFO):
            update = run(tmp_path, until(made, epochs))
        assert "update: " in caplog.text and "in full" not in caplog.text
        caplog.clear()
        full = run(tmp_path, until(made, epochs), cached=False)
        assert full["displacement"].isnull().any() and full.attrs["unwrapping_masked_share"] > 0
        assert full.attrs["chain_lost_share"] > 0 and full.attrs.get("components_corrected", 1) > 0
        assert_alike(update, full)


def test_an_update_of_a_chain_without_loops(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    truth = scenes.displacement(100, *SHAPE)
    chain = scenes.dataset(truth, scenes.neighbours(100, 1), noise=2e-3)
    lasting = everything()
    made = chain.assign_attrs({name: lasting.attrs[name] for name in ("region_polygon", "slipscan_version", "product")})
    run(tmp_path, until(made, 98))
    with caplog.at_level(logging.INFO):
        update = run(tmp_path, made)
    assert "update: " in caplog.text and "in full" not in caplog.text
    full = run(tmp_path, made, cached=False)
    assert full["inversion_std"].isnull().all() and update["inversion_std"].isnull().all()
    np.testing.assert_allclose(update["displacement"], full["displacement"], atol=1e-7)


def removed(made: xr.Dataset, cache_dir: Path) -> xr.Dataset:
    return made.isel(pair=np.arange(made.sizes["pair"]) != 40)


def damaged(made: xr.Dataset, cache_dir: Path) -> xr.Dataset:
    (path,) = cache_dir.glob("settled/*/*/deviation.npy")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    return made


def torn(made: xr.Dataset, cache_dir: Path) -> xr.Dataset:
    (path,) = cache_dir.glob("settled/*/*/sums.npy")
    path.unlink()
    return made


def other_reference(made: xr.Dataset, cache_dir: Path) -> xr.Dataset:
    return made.assign_attrs(reference_lon=made.attrs["reference_lon"] + 0.001)


@pytest.mark.parametrize("change", [removed, replaced, damaged, torn, other_reference])
def test_whatever_else_changes_leads_to_a_run_of_all(
    tmp_path: Path, kept: Path, caplog: pytest.LogCaptureFixture, change: Callable[[xr.Dataset, Path], xr.Dataset]
) -> None:
    shutil.copytree(kept, tmp_path / "cache")
    changed = change(until(everything(), EPOCHS + 1), tmp_path / "cache")
    with caplog.at_level(logging.INFO):
        run(tmp_path, changed)
    assert "update: " not in caplog.text
    assert len(list((tmp_path / "cache").glob("settled/*/*"))) == (1 if change in (damaged, torn) else 2)
    if change is replaced:
        (tmp_path / "stack.zarr").rename(tmp_path / "cached.zarr")
        run(tmp_path, changed, cached=False)
        assert same_store(tmp_path / "stack.zarr", tmp_path / "cached.zarr")


def test_other_settings_find_nothing(tmp_path: Path) -> None:
    write_zarr(everything(), tmp_path / "observations.zarr")
    dataset = open_zarr(tmp_path / "observations.zarr")

    def labels(**changes: object) -> set[str]:
        settings = SETTINGS.model_copy(update=changes)
        found = memory.memory_of(tmp_path / "observations.zarr", dataset, settings, tmp_path / "cache")
        return set() if found is None else {*found.labels}

    assert labels() and labels() == labels()
    assert labels(min_coherence=0.2) and not labels() & labels(min_coherence=0.2)
    assert not labels(norm="l1")


def test_late_interferograms_may_be_replaced(tmp_path: Path, kept: Path, caplog: pytest.LogCaptureFixture) -> None:
    shutil.copytree(kept, tmp_path / "cache")
    changed = until(everything(), EPOCHS).copy(deep=True)
    changed["interferogram"].values[-5:] += 3e-3
    with caplog.at_level(logging.INFO):
        update = run(tmp_path, changed)
    assert "update: " in caplog.text and "in full" not in caplog.text
    assert_alike(update, run(tmp_path, changed, cached=False))


def test_settled_epochs_that_would_change_are_inverted_anew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(updating, "QUIET", 0)  # the border is where new interferograms begin
    changed = until(everything(), EPOCHS).copy(deep=True)
    run(tmp_path, changed)
    changed["interferogram"].values[2 * 64 :] *= 1.1
    with caplog.at_level(logging.INFO):
        run(tmp_path, changed)
    assert "are inverted in full: settled epochs change" in caplog.text
    (tmp_path / "stack.zarr").rename(tmp_path / "updated.zarr")
    run(tmp_path, changed, cached=False)
    assert same_store(tmp_path / "stack.zarr", tmp_path / "updated.zarr")


def test_kept_normal_equations_are_those_of_dense_algebra() -> None:
    generator = np.random.default_rng(3)
    epochs, kept = 9, 3
    pairs = np.array(scenes.neighbours(epochs, kept)).T
    made = network.Network(scenes.dates(epochs), *pairs)
    weight, data = generator.uniform(0.5, 2, pairs.shape[1]), generator.normal(size=(pairs.shape[1], 2))
    data[4, 1] = np.nan
    pattern = elimination.eliminate(made, np.zeros(epochs, np.int64), np.arange(epochs - kept, epochs))
    rows = settled.normal_equations(pattern, data, weight)
    for pixel, observed in enumerate(data.T):
        used = np.isfinite(observed)
        design = (np.eye(epochs)[pairs[1]] - np.eye(epochs)[pairs[0]])[used][:, 1:]
        normal, right = design.T * weight[used] @ design, design.T @ (weight[used] * observed[used])
        inner, last = slice(0, epochs - 1 - kept), slice(epochs - 1 - kept, None)
        gain = normal[last, inner] @ np.linalg.inv(normal[inner, inner])
        expected = normal[last, last] - gain @ normal[inner, last]
        np.testing.assert_allclose(rows[: kept**2, pixel].reshape(kept, kept), expected, atol=1e-12)
        np.testing.assert_allclose(rows[kept**2 : -kept, pixel], right[last] - gain @ right[inner], atol=1e-12)
        assert (rows[-kept:, pixel] == 1).all()


def test_a_pixel_that_comes_to_have_enough_interferograms_gets_its_series(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made = everything()
    early = np.flatnonzero(made["secondary_date"].values <= scenes.dates(50)[-1])
    lacking = np.random.default_rng(0).permutation(early)[: int(0.365 * len(early))]
    made["interferogram"].values[lacking, 7, 7] = np.nan
    before = run(tmp_path, until(made, 50))
    with caplog.at_level(logging.INFO):
        update = run(tmp_path, made)
    assert "are inverted in full: pixels have come to have enough interferograms" in caplog.text
    full = run(tmp_path, made, cached=False)
    came = before["displacement"].isnull().all("time").values & full["displacement"].notnull().any("time").values
    assert came.any()
    assert_alike(update, full)


def test_a_series_that_has_become_shorter(tmp_path: Path, kept: Path, caplog: pytest.LogCaptureFixture) -> None:
    shutil.copytree(kept, tmp_path / "cache")
    with caplog.at_level(logging.INFO):
        update = run(tmp_path, until(everything(), EPOCHS - 6))
    assert "update: " in caplog.text and "in full" not in caplog.text
    assert_alike(update, run(tmp_path, until(everything(), EPOCHS - 6), cached=False))
