"""Maps of transients beside others: weights of the epochs, and what they keep out."""

from __future__ import annotations

import numpy as np
import pytest

from detecting import FAST
from simulated import stack_dataset
from slipscan.detect.beside import beside_each
from slipscan.detect.maps import Other, amplitude_maps, change_weights
from slipscan.detect.ramp import Ramp
from slipscan.detect.track import Track, track_of
from slipscan.stack import observation_of

STEPS = (20, 45, 60, 75)
"""Numbers of the epochs that follow a step."""


@pytest.fixture(scope="module")
def track() -> Track:
    return track_of(observation_of(stack_dataset(epochs=100, seed=5)), FAST)


def ramps_of(track: Track) -> list[Ramp]:
    days = track.epochs.days
    return [Ramp(float(days[number - 1] + days[number]) / 2, 0.0) for number in STEPS]


def test_the_sum_of_the_epochs_by_their_weights_is_the_map(track: Track) -> None:
    ramps = ramps_of(track)
    beside = [[Other(one, 1e-5) for one in ramps if one is not ramp] for ramp in ramps]
    weights = change_weights(track, ramps, beside)
    series = track.cleaned.residual().numpy()
    maps = amplitude_maps(track, ramps, beside)[0].reshape(len(ramps), -1)
    np.testing.assert_allclose(weights @ series, maps, atol=2e-5)
    # Its own history counts once; offset, rate and season do not count.
    columns = track.epochs.columns(ramps).numpy()
    np.testing.assert_allclose([w @ c for w, c in zip(weights, columns.T, strict=True)], 1.0, atol=1e-4)
    scale = np.array([1.0, *[10.0] * (track.epochs.design().shape[1] - 1)])
    assert np.abs(weights @ track.epochs.design().numpy() / scale).max() < 1e-3


def test_others_are_kept_out_as_far_as_they_are_large(track: Track) -> None:
    ramp, *others = ramps_of(track)
    columns = track.epochs.columns(others).numpy()
    noise = np.asarray(1 / track.cleaned.weight.numpy())
    leaks, spreads = [], []
    for power in (0.0, 1e-6, 1e-2):
        (weight,) = change_weights(track, [ramp], [[Other(one, power) for one in others]])
        leaks.append(float(np.abs(weight @ columns).max()))
        spreads.append(float(weight**2 @ noise))
    alone = change_weights(track, [ramp])
    np.testing.assert_allclose(change_weights(track, [ramp], [[Other(one, 0.0) for one in others]]), alone, atol=1e-6)
    assert leaks[0] > leaks[1] > leaks[2] and leaks[2] < 0.01
    assert spreads[0] < spreads[1] < spreads[2]


def test_what_did_not_happen_costs_no_noise_and_what_did_leaves_nothing() -> None:
    dataset = stack_dataset(epochs=100, seed=6)
    ramps = ramps_of(track_of(observation_of(dataset), FAST))
    rows, columns = np.indices(dataset["displacement"].shape[1:])
    bump = 0.05 * np.exp(-((rows - 24) ** 2 + (columns - 26) ** 2) / (2 * 5.0**2))
    dataset["displacement"].values[STEPS[1] :] += bump.astype("f4")
    track = track_of(observation_of(dataset), FAST)
    footprint = bump > 0.3 * bump.max()
    beside = beside_each(track, [(footprint, ramp) for ramp in ramps])
    powers = np.array([[one.power for one in others] for others in beside])
    true = float((bump[footprint] ** 2).mean())
    # The event is what the others have beside them, and little else; near them it is weaker than in its footprint.
    assert 0.1 * true < powers[0, 0] < true and powers[0, 1:].max() < 0.1 * powers[0, 0]
    (first,) = amplitude_maps(track, ramps[:1], beside[:1])[0]
    alone = amplitude_maps(track, ramps[:1])[0][0]
    assert abs(first[footprint].mean()) < 0.35 * abs(alone[footprint].mean())
    # As noisy as beside the event alone.
    weight, joint = (
        change_weights(track, ramps[:1], beside[:1]),
        change_weights(track, ramps[:1], [[Other(one, 1.0) for one in ramps[1:]]]),
    )
    assert (weight**2).sum() < 0.9 * (joint**2).sum()


def test_another_of_nearly_the_same_history_makes_a_map_uncertain_and_does_not_hide_it(track: Track) -> None:
    ramp = ramps_of(track)[1]
    same = Ramp(ramp.middle_d, 12.0)
    (alone,), (beside,) = (amplitude_maps(track, [ramp], [others])[1] for others in ([], [Other(same, 1.0)]))
    known = np.isfinite(alone)
    assert known.any() and (np.isfinite(beside) == known).all()
    assert np.median(beside[known] / alone[known]) > 3
