"""The Ismetpasa twin: its truth is what it says."""

from __future__ import annotations

import datetime
import math

import numpy as np
import pytest
from scipy.linalg import cho_factor, cho_solve

from slipscan import geometry
from slipscan.forward.history import history
from slipscan.noise.simulate import power_spectrum
from slipscan.synthetic import ismetpasa, ismetpasa_fault, terrain

A, B = ismetpasa.EVENTS
AZIMUTH = math.radians(81.5)
FAULT_PARALLEL = np.array([math.sin(AZIMUTH), math.cos(AZIMUTH), 0.0])


def at(along_m: float, across_m: float) -> tuple[np.ndarray, np.ndarray]:
    """Longitude and latitude of a place beside the fault."""
    lon, lat = ismetpasa.Station("XXXX", along_m, across_m).lonlat()
    return np.array([lon]), np.array([lat])


def parallel(displacement: np.ndarray) -> float:
    return float(displacement[0] @ FAULT_PARALLEL)


def test_places_beside_the_fault_come_back_from_longitude_and_latitude():
    _, _, along, across = ismetpasa_fault.local_coordinates(*at(12e3, -3e3))
    assert along[0] == pytest.approx(12e3, abs=0.01) and across[0] == pytest.approx(-3e3, abs=0.01)
    _, lat = at(0, 1e3)
    assert lat[0] > ismetpasa_fault.CENTRE[1]  # across is positive to the north


def test_creep_and_plates_move_the_north_side_east():
    step = parallel(ismetpasa.rate(*at(0, 30))) - parallel(ismetpasa.rate(*at(0, -30)))
    assert step == pytest.approx(7e-3, rel=0.02)
    far = parallel(ismetpasa.rate(*at(0, 60e3))) - parallel(ismetpasa.rate(*at(0, -60e3)))
    assert 16e-3 < far < 20e-3


def test_event_a_breaks_the_surface_by_its_slip_and_b_does_not():
    for event, slip in ((A, 20e-3), (B, 0.0)):
        jump = parallel(event.displacement(*at(event.along_m, 20)))
        jump -= parallel(event.displacement(*at(event.along_m, -20)))
        assert jump == pytest.approx(slip, abs=1e-3)
    beyond = A.displacement(*at(A.along_m + 12e3, 20))
    assert np.abs(beyond).max() < 1e-3


def test_the_ground_is_the_sum_of_its_parts_and_of_the_events_after_them():
    lon, lat = (np.concatenate(v) for v in zip(at(-12e3, 500), at(13e3, -4e3), strict=True))
    days = np.array([1400.0, A.t50_d, 1900.0, 2300.0])
    whole = ismetpasa.ground(lon, lat, days)
    assert whole.shape == (4, 2, 3)
    parts = sum(ismetpasa.ground(lon, lat, days, parts=(part,)) for part in ismetpasa.PARTS)
    np.testing.assert_allclose(whole, parts, atol=1e-12)
    quiet = ismetpasa.ground(lon, lat, days, planted=ismetpasa.events("quiet"))
    moved = whole - quiet
    np.testing.assert_allclose(moved[0], 0, atol=1e-12)
    np.testing.assert_allclose(moved[1, 0], A.displacement(lon, lat)[0] / 2, atol=1e-6)
    np.testing.assert_allclose(moved[3], sum(e.displacement(lon, lat) for e in (A, B)), atol=1e-9)


def test_the_season_is_a_few_millimetres_and_mostly_vertical():
    lon, lat = np.meshgrid(np.linspace(32.28, 32.98, 12), np.linspace(40.6, 41.14, 12))
    days = np.arange(0, 366, 6.0)
    motion = ismetpasa.ground(lon.ravel(), lat.ravel(), days, parts=("season",))
    vertical, horizontal = (np.ptp(motion[..., c], axis=0).max() for c in (2, 0))
    assert 3e-3 < vertical < 12e-3
    assert 0.2e-3 < horizontal < vertical / 2
    assert days[motion[..., 2].mean(axis=1).argmin()] == pytest.approx(75, abs=45)  # lowest when wet, in spring


def test_dates_of_the_truth_hold_5_and_95_per_cent():
    for event in ismetpasa.EVENTS:
        row = event.describe()
        days = [(datetime.date.fromisoformat(row[k]) - datetime.date(2014, 1, 1)).days for k in ("t05", "t50", "t95")]
        reached = history(days, event.history, event.t50_d, event.duration_d)
        np.testing.assert_allclose(reached, [0.05, 0.5, 0.95], atol=0.02)
        assert row["mw"] == pytest.approx(
            (math.log10(30e9 * row["length_km"] * row["width_km"] * 1e6 * row["slip_mm"] / 1e3) - 9.05) / 1.5, abs=1e-3
        )
    # Not a year apart: beside an unknown rate and season two such events look like one another in time.
    assert 6 * 30 < (B.t50 - A.t50).days < 10 * 30


def test_the_centre_of_an_event_lies_on_the_fault():
    lon, lat, depth = B.centre()
    _, _, along, across = ismetpasa_fault.local_coordinates([lon], [lat])
    assert along[0] == pytest.approx(B.along_m, abs=0.1)
    assert across[0] == pytest.approx(depth / math.tan(math.radians(85)), abs=0.1)  # dips to the north
    assert depth == pytest.approx(B.depth_top_m + B.width_m / 2, rel=0.01)


def test_each_track_alone_can_show_the_buried_event():
    """Known template in turbulence of 8 mm; offset, ramp, height slope per epoch, rate and season unknown."""
    grid = geometry.metric_grid(np.array([32.28, 32.98]), np.array([40.60, 41.14]), 2000.0)
    lon, lat = (v.ravel() for v in grid.lonlat())
    nuisance, solve = _space_noise(grid, terrain.height(lon, lat), 8e-3)
    days = (datetime.date(2018, 1, 4) - datetime.date(2014, 1, 1)).days + 12.0 * np.arange(60)
    for direction in ("ascending", "descending"):
        los = terrain.line_of_sight(lon, lat, direction)
        shape = np.einsum("pc,pc->p", B.displacement(lon, lat), los)
        left = shape - nuisance @ np.linalg.solve(nuisance.T @ solve(nuisance), nuisance.T @ solve(shape))
        snr = math.sqrt(float(left @ solve(left)) * _time_power(days))
        assert 10 < snr < 16


def _space_noise(grid, height, std_m):
    """Nuisance patterns (pixel, 4) and the solver of the covariance of turbulence between pixels."""
    rows, columns = grid.shape
    n, pixel = 8 * max(rows, columns), grid.spacing[0]
    k = np.hypot(*np.meshgrid(np.fft.fftfreq(n, pixel), np.fft.fftfreq(n, pixel)))
    correlation = np.fft.ifft2(power_spectrum(k)).real / pixel**2
    i, j = np.divmod(np.arange(rows * columns), columns)
    covariance = std_m**2 * correlation[np.abs(i[:, None] - i), np.abs(j[:, None] - j)]
    factor = cho_factor(covariance)
    return np.stack([np.ones(len(i)), i, j, height / 1e3], axis=1), lambda v: cho_solve(factor, v)


def _time_power(days):
    """Power of B's history that offset, rate and season do not explain."""
    years = days / 365.25
    waves = [wave(2 * np.pi * cycles * years) for cycles in (1, 2) for wave in (np.cos, np.sin)]
    matrix = np.stack([np.ones(len(days)), years - years.mean(), *waves], axis=1)
    course = history(days, B.history, B.t50_d, B.duration_d)
    left = course - matrix @ np.linalg.lstsq(matrix, course, rcond=None)[0]
    return float(left @ left)


def test_terrain_is_fixed_and_has_the_valley_of_the_fault():
    lon, lat = (v.ravel() for v in np.meshgrid(np.linspace(32.28, 32.98, 60), np.linspace(40.6, 41.14, 60)))
    height = terrain.height(lon, lat)
    assert 600 < height.min() < 800 and 1700 < height.max() < 2000
    _, _, _, across = ismetpasa_fault.local_coordinates(lon, lat)
    assert height[np.abs(across) < 1500].mean() < height[np.abs(across) > 6e3].mean() - 150
    np.testing.assert_array_equal(terrain.height(lon[:7], lat[:7]), height[:7])  # not a matter of the grid


def test_lines_of_sight_are_those_of_right_looking_tracks():
    lon, lat = (v.ravel() for v in np.meshgrid(np.linspace(32.28, 32.98, 9), np.linspace(40.6, 41.14, 9)))
    for direction, far in (("ascending", lon.argmax()), ("descending", lon.argmin())):
        los = terrain.line_of_sight(lon, lat, direction)
        geometry.check_los(*los.T, direction, "the twin")
        np.testing.assert_allclose(np.linalg.norm(los, axis=1), 1, atol=1e-12)
        incidence = np.rad2deg(np.arccos(los[:, 2]))
        assert incidence.min() > 34.5 and incidence.max() < 40.5
        assert incidence[far] > incidence.mean() + 1  # grows away from the satellite


def test_stations_lie_at_their_distances():
    assert len({s.id for s in ismetpasa.STATIONS}) == 6
    distances = [abs(s.across_m) / 1e3 for s in ismetpasa.STATIONS]
    assert min(distances) >= 0.5 and max(distances) == 20
    for event in ismetpasa.EVENTS:
        near = [s for s in ismetpasa.STATIONS if abs(s.along_m - event.along_m) < event.length_m / 2]
        moved = [np.linalg.norm(event.displacement(*(np.array([v]) for v in s.lonlat()))) for s in near]
        assert len(near) == 2 and max(moved) > 4e-3
