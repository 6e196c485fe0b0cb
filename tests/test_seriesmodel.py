import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipscan.errors import SlipscanError
from slipscan.fit.background import fit_series
from slipscan.fit.model import days_since_2014, design_matrix, transient_column


def dates(n: int, step: int = 12) -> np.ndarray:
    return np.datetime64("2018-01-04", "ns") + np.arange(n) * np.timedelta64(step, "D")


def test_parameters_of_a_known_series_are_recovered_beside_gaps() -> None:
    time = dates(60)
    matrix, names = design_matrix(time)
    assert names == ["offset", "rate", "annual_cos", "annual_sin", "semiannual_cos", "semiannual_sin"]
    truth = np.random.default_rng(0).normal(size=(6, 40))
    series = matrix @ truth
    series[np.random.default_rng(1).random(series.shape) < 0.2] = np.nan
    series[:, 0] = np.nan
    series[5:, 1] = np.nan
    fitted = fit_series(matrix, series, np.linspace(1, 2, 60))
    np.testing.assert_allclose(fitted[:, 2:], truth[:, 2:], atol=1e-9)
    assert np.isnan(fitted[:, :2]).all()


def test_short_series_have_no_season_and_tiny_ones_are_refused() -> None:
    assert design_matrix(dates(13))[1] == ["offset", "rate"]
    with pytest.raises(SlipscanError, match="a series of 4 epochs is too short"):
        design_matrix(dates(4))


def test_segments_have_offsets_of_their_own() -> None:
    segment = np.repeat([0, 1], [8, 7])
    matrix, names = design_matrix(dates(15), segment)
    assert names.count("offset") == 2
    series = (3e-3 * (dates(15) - dates(1)) / np.timedelta64(365, "D") + np.where(segment, 7.0, 0.0))[:, None]
    fitted = fit_series(matrix, series.astype(float))
    assert fitted[2, 0] == pytest.approx(3e-3 * 365.25 / 365, rel=1e-6)


@given(st.floats(-50, 800), st.floats(0, 200))
def test_a_transient_rises_from_zero_to_one(start: float, duration: float) -> None:
    time = dates(60)
    column = transient_column(time, start + days_since_2014(time)[0], duration)
    assert ((column >= 0) & (column <= 1)).all()
    assert (np.diff(column) >= 0).all()


def test_groups_of_equal_validity_partition_the_pixels() -> None:
    valid = np.random.default_rng(0).random((9, 200)) < 0.7
    valid[:, 5] = False
    groups = groups_of_equal_validity(valid)
    assert sorted(np.concatenate([pixels for _, pixels in groups])) == [p for p in range(200) if p != 5]
    for rows, pixels in groups:
        for pixel in pixels:
            np.testing.assert_array_equal(np.flatnonzero(valid[:, pixel]), rows)
