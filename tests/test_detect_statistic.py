import numpy as np
import pytest
import torch

from detecting import complete
from simulated import dates
from slipscan.detect.bands import bands_of, filtered
from slipscan.detect.lobes import Above, joined, lobes_of
from slipscan.detect.ramp import Epochs, candidates
from slipscan.detect.statistic import filters_of, statistics
from slipscan.errors import SlipscanError
from slipscan.fit.ramps import projected


@pytest.mark.parametrize("duration", [0.0, 48.0])
def test_the_statistic_of_a_known_ramp_is_largest_at_it_beside_rate_and_season(duration: float) -> None:
    epochs = Epochs(dates(60))
    tried = candidates(epochs, (0.0, 48.0), 4)
    truth = next(c for c in tried if c.duration_d == duration and c.middle_d > epochs.days[28])
    design = epochs.design()
    noise = 1e-3 * np.random.default_rng(0).normal(size=(60, 400))
    series = design.numpy() @ np.linspace(0.01, 0.05, design.shape[1])[:, None] + noise
    series[:, :20] += 0.007 * epochs.columns([truth]).numpy()
    left = projected(torch.from_numpy(series), design, torch.ones(60)).numpy()
    band = complete(left, (20, 20))
    filters = filters_of(epochs.columns(tried), epochs, (), band.weight)
    found = statistics(band, filters)
    assert tried[int(found[:, :20].mean(1).abs().argmax())] == truth
    expected = 0.007 / 1e-3 * float(filters.energy[tried.index(truth)].sum() / band.weight.mean()) ** 0.5
    assert float(found[tried.index(truth), :20].mean()) == pytest.approx(expected, rel=0.1)
    # The estimate at some places is that at all of them.
    places = torch.tensor([3, 77])
    torch.testing.assert_close(statistics(band, filters, places), found[:, places])


def test_a_band_by_hand_and_beside_gaps() -> None:
    flat = torch.full((12, 1600), 3.0)
    valid = torch.ones_like(flat, dtype=torch.bool)
    valid[3, 410:414] = False
    (band,) = bands_of(flat * valid, valid, (40, 40), 1.0, [2.0])
    assert float(band.values.abs().max()) < 1e-2  # a constant has no scale; and a gap is no zero
    bump = torch.zeros(1, 40, 40)
    bump[0, 20, 20] = 1.0
    shown = filtered(bump, band, 1.0)
    assert shown.shape == (1, 40, 40)
    assert float(shown[0, 20, 20]) == pytest.approx(1 / (8 * np.pi) - 1 / (32 * np.pi), rel=0.05)


def test_a_broad_band_lies_on_a_grid_of_its_own_with_the_same_noise() -> None:
    generator = torch.Generator().manual_seed(0)
    white = torch.randn(30, 96 * 96, generator=generator)
    valid = torch.ones_like(white, dtype=torch.bool)
    (fine,) = bands_of(white, valid, (96, 96), 1.0, [2.0])
    (broad,) = bands_of(white, valid, (96, 96), 1.0, [8.0])
    assert (fine.level, broad.level) == (0, 2) and broad.shape == (24, 24)
    # White noise averaged over four times the width is four times as quiet.
    ratio = float((fine.weight.median() / broad.weight.median()) ** 0.5)
    assert ratio == pytest.approx(1 / 4, rel=0.15)


def test_candidates_stay_off_the_edges() -> None:
    epochs = Epochs(dates(20))
    middles = {c.middle_d for c in candidates(epochs, (0.0,), 4)}
    days = epochs.days
    assert min(middles) == pytest.approx((days[3] + days[4]) / 2)
    assert max(middles) == pytest.approx((days[-4] + days[-5]) / 2)
    with pytest.raises(SlipscanError, match="no interval between edges"):
        candidates(Epochs(dates(7)), (0.0,), 4)


def above(statistic: np.ndarray, threshold: float, candidate: int = 0) -> Above:
    place = np.flatnonzero(np.abs(statistic.ravel()) >= threshold)
    return Above(np.full(len(place), candidate), place, statistic.ravel()[place])


def test_lobes_are_connected_places_of_one_sign_and_candidate() -> None:
    statistic = np.zeros((20, 30))
    statistic[4:7, 4:7], statistic[7:10, 4:7], statistic[4:7, 27:30], statistic[5, 0] = 5.0, -5.0, 4.0, 9.0
    found = lobes_of(above(statistic, 3.0), statistic.shape, min_places=4)
    # The end of a row and the beginning of the next do not touch, nor do lobes of two signs.
    assert sorted(len(found.places(i)) for i in range(len(found.strength))) == [9, 9, 9]
    assert sorted(found.strength) == pytest.approx([9 * 16, 9 * 25, 9 * 25])
    both = [above(statistic, 3.0, 0), above(statistic, 3.0, 7)]
    merged = Above(*(np.concatenate(parts) for parts in zip(*(vars(one).values() for one in both), strict=True)))
    twice = lobes_of(merged, statistic.shape, min_places=4)
    assert sorted(twice.candidate) == [0, 0, 0, 7, 7, 7]
    assert len(lobes_of(above(np.zeros((5, 5)), 1.0), (5, 5), 1).strength) == 0


def test_lobes_of_both_signs_that_share_a_history_are_one() -> None:
    statistic = np.zeros((20, 30))
    statistic[4:7, 4:7], statistic[10:13, 4:7], statistic[4:7, 24:27] = 5.0, -5.0, 4.0
    lobes = lobes_of(above(statistic, 3.0), statistic.shape, min_places=4)
    profile = np.exp(-(((np.arange(40) - 20) / 4.0) ** 2))
    chosen = np.arange(3)
    near = [int(lobes.places(i)[0]) % 30 < 20 for i in range(3)]
    group = joined(lobes, chosen, [profile] * 3, 20, statistic.shape, 5.0, 0.7)
    assert len({int(g) for g, is_near in zip(group, near, strict=True) if is_near}) == 1
    assert len(set(group.tolist())) == 2  # the third is too far away
    late = [np.roll(profile, 12) if values[0] < 0 else profile for values in (lobes.values(i) for i in range(3))]
    assert len(set(joined(lobes, chosen, late, 20, statistic.shape, 5.0, 0.7).tolist())) == 3


def test_a_scene_keeps_a_band_that_is_broader_than_it() -> None:
    series = torch.randn(20, 40 * 40, generator=torch.Generator().manual_seed(0))
    valid = torch.ones_like(series, dtype=torch.bool)
    valid[:, :200] = False
    (band,) = bands_of(series * valid, valid, (40, 40), 0.5, [8.0])
    assert bool(torch.isfinite(band.std).all())  # the corners, too, and those beside what has no data
