"""What was made of the epochs up to a date stays while they are, within their noise, what they were."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from detecting import FAST
from simulated import stack_dataset
from slipscan import cache
from slipscan.detect import calibrate
from slipscan.errors import SlipscanError
from slipscan.store import write_zarr
from slipscan.vintage import KIND, sample_of, unmoved, vintage_of

UNTIL = "2018-09-15"


def moved(by_m: float, share: float = 1.0) -> xr.Dataset:
    """A stack, and what new interferograms would make of it: its first rows moved."""
    dataset = stack_dataset(epochs=30)
    rows = round(share * dataset.sizes["y"])
    dataset["displacement"].values[1:, :rows] += np.float32(by_m)
    return dataset


@pytest.mark.parametrize(
    ("by_m", "share", "same"), [(0.0, 1.0, True), (1e-7, 1.0, True), (1e-3, 1.0, False), (1e-3, 0.5, False)]
)
def test_a_series_is_the_same_within_a_thousandth_of_its_noise(by_m: float, share: float, same: bool) -> None:
    before = sample_of(stack_dataset(epochs=30))
    assert unmoved(before, sample_of(moved(by_m, share))) is same


def test_the_last_epochs_may_move_more() -> None:
    before = sample_of(stack_dataset(epochs=30))
    for epoch, by_m, same in ((-1, 1e-4, True), (-8, 1e-4, True), (-9, 1e-4, False), (-1, 2e-2, False)):
        now = before.copy()
        now[:, epoch] += np.float32(by_m)
        assert unmoved(before, now) is same


def test_a_few_pixels_may_be_masked_otherwise_and_many_may_not() -> None:
    before = sample_of(stack_dataset(epochs=30))
    for number, same in ((len(before) // 200, True), (len(before) // 20, False)):
        now = before.copy()
        now[:number] = np.nan
        assert unmoved(before, now) is same and unmoved(now, before) is same
    assert not unmoved(before, before[:, :-1])


def test_a_small_stack_is_its_own_sample() -> None:
    one = stack_dataset(epochs=12).isel(x=slice(3, 4), y=slice(5, 6))
    np.testing.assert_array_equal(sample_of(one), one["displacement"].values[:, :, 0].T)


def test_new_epochs_that_move_old_ones_a_little_leave_the_calibration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []
    original = calibrate.calibrate_track
    monkeypatch.setattr(calibrate, "calibrate_track", lambda *given: made.append(1) or original(*given))
    shorter = moved(0.0).isel(time=slice(0, 24))
    for name, dataset in (("full", shorter), ("update", moved(1e-7)), ("other", moved(1e-3, 0.5))):
        write_zarr(dataset, tmp_path / f"{name}.zarr")
        calibrate.write_calibration(
            tmp_path / f"{name}.zarr", tmp_path / f"{name}.json", FAST, until=UNTIL, cache_dir=tmp_path / "cache"
        )
    full, update, other = ((tmp_path / f"{name}.json").read_bytes() for name in ("full", "update", "other"))
    assert full == update != other
    assert len(made) == 2
    assert len(list((tmp_path / "cache" / KIND).glob("*/*"))) == 1, "what was made anew is kept in place of the old"


def test_what_is_damaged_is_made_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    stack, kept = tmp_path / "stack.zarr", tmp_path / "cache"
    write_zarr(stack_dataset(epochs=30), stack)
    vintage = vintage_of(kept, [stack], UNTIL, ["made"])
    assert vintage is not None and vintage.find() is None
    with vintage.written() as beside:
        beside.write_text("result")
    found = vintage.find()
    assert found is not None and found.read_text() == "result"
    (found.parent / "sample.npz").write_bytes(b"torn")
    assert vintage.find() is None and "is damaged" in caplog.text
    other = vintage_of(kept, [stack], UNTIL, ["made otherwise"])
    assert other is not None and other.key != vintage.key
    assert vintage_of(None, [stack], UNTIL, []) is None and vintage_of(kept, [stack], None, []) is None
    assert cache.prune(kept, 0) == (1, 0)


def test_a_map_of_faults_that_is_not_there_is_said(tmp_path: Path) -> None:
    write_zarr(stack_dataset(epochs=24), tmp_path / "stack.zarr")
    lost = FAST.model_copy(update={"faults": str(tmp_path / "none.geojson")})
    with pytest.raises(SlipscanError, match=r"detect\.faults"):
        calibrate.write_calibration(
            tmp_path / "stack.zarr", tmp_path / "c.json", lost, until=UNTIL, cache_dir=tmp_path / "cache"
        )
