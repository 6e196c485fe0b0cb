"""What a denoiser says happened, tile by tile, is kept in the product: an event across tiles once."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from simulated import PIXEL_M, dates  # tests/simulated.py
from slipscan.denoise.join import Piece, joined
from slipscan.denoise.run import denoise
from slipscan.denoise.stage import product_of
from slipscan.field import Candidate, Field, Observation
from slipscan.fit.model import design_matrix
from slipscan.geometry import Grid, utm_crs, write_grid
from slipscan.stack import candidates_of
from slipscan.store import open_zarr, write_zarr

STEPS = np.stack([(np.arange(24) >= at).astype(float) for at in (8, 17)])


class Told:
    """A denoiser that knows: of every event whatever of it a tile holds."""

    label, tiles_at_once = "told", 1

    def __init__(self, events: Sequence[tuple[np.ndarray, np.ndarray]]) -> None:
        self.events = events

    def fields(self, observations: Sequence[Observation]) -> list[Field]:
        out = []
        for seen in observations:
            assert seen.height is not None  # holds a number of the pixel, by which a tile knows where it lies
            row, column = divmod(int(seen.height[0, 0]), 1000)
            rows, columns = seen.shape
            found = []
            for whole, history in self.events:
                part = whole[row : row + rows, column : column + columns].astype("f4")
                if np.abs(part).max() > 1e-3:
                    found.append(Candidate(part, np.full_like(part, 1e-3), history, float((part**2).sum() / 1e-6)))
            transient = sum(((one.history - one.history.mean())[:, None, None] * one.map for one in found), 0.0)
            field = Field.of(np.broadcast_to(transient, (len(seen.time), *seen.shape)).astype("f4"))
            out.append(Field(field.transient, field.std, field.evidence, tuple(found)))
        return out


def scene(shape: tuple[int, int]) -> Observation:
    rows, columns = np.indices(shape)
    series = np.random.default_rng(0).normal(scale=1e-3, size=(24, *shape)).astype("f4")
    return Observation(series, dates(24), PIXEL_M, height=(1000 * rows + columns).astype("f4"))


def bump(shape: tuple[int, int], row: float, column: float, width: float, peak: float = 0.05) -> np.ndarray:
    rows, columns = np.indices(shape)
    return peak * np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / (2 * width**2))


def test_an_event_across_four_tiles_is_one_and_another_beside_it_is_another(tmp_path: Path) -> None:
    shape = (212, 216)
    events = [(bump(shape, 110, 120, 20), STEPS[0]), (bump(shape, 90, 150, 12, -0.03), STEPS[1])]
    seen = scene(shape)
    parts = denoise(seen, Told(events))
    assert len(parts.candidates) == 2
    grid = Grid(500_000 + 500.0 * np.arange(216), 4_500_000 - 500.0 * np.arange(212), utm_crs(32.6, 40.8))
    dataset = write_grid(_dataset(seen), grid)
    write_zarr(product_of(dataset, parts, design_matrix(seen.time)[1]), tmp_path / "denoised.zarr")
    found = candidates_of(open_zarr(tmp_path / "denoised.zarr"))
    for one, (whole, history) in zip(found, events, strict=True):
        assert one.place is not None
        np.testing.assert_allclose(one.history, history)
        scattered = np.zeros(shape)
        scattered[one.place] = one.map
        np.testing.assert_allclose(scattered, whole, atol=1.1e-3)  # tiles that hold less than 1 mm of it say nothing
    # Shares of the tiles add up to one.
    assert found[0].evidence == pytest.approx((events[0][0] ** 2).sum() / 1e-6, rel=0.01)


def _dataset(seen: Observation) -> xr.Dataset:
    return xr.Dataset({"displacement": (("time", "y", "x"), seen.values)}, coords={"time": seen.time})


def test_two_of_one_tile_stay_two_and_other_histories_are_not_joined() -> None:
    share = np.ones(40, np.float32)
    whole = bump((40, 40), 20, 20, 6).astype("f4")

    def piece(tile: int, start: int, history: np.ndarray) -> Piece:
        return Piece(tile, (slice(0, 40), slice(start, start + 40)), (share, share / 2), Candidate(
            np.roll(whole, -start, 1), whole * 0 + 1e-3, history, 100.0
        ))  # fmt: skip

    design = design_matrix(dates(24))[0]
    assert len(joined([piece(0, 0, STEPS[0]), piece(1, 4, STEPS[0])], design)) == 1
    assert len(joined([piece(0, 0, STEPS[0]), piece(0, 0, STEPS[0])], design)) == 2
    assert len(joined([piece(0, 0, STEPS[0]), piece(1, 4, STEPS[1])], design)) == 2
