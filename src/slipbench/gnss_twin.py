"""Transients in noise of the North Anatolian twin's 16 stations over 6 years, found without InSAR: recall by SNR."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from slipbench.gnss_rows import Places, Row, network_of, series_of
from slipscan.gnss.background import event_column
from slipscan.gnss.detect import prepare, search
from slipscan.gnss.scan import DURATIONS_D, Ramps
from slipscan.gnss.threshold import simulated
from slipscan.settings_gnss import GnssDetectSettings
from slipscan.synthetic.ismetpasa_fault import DIP_DEG, frame_position, local_coordinates, right_lateral
from slipscan.synthetic.north_anatolian import STATIONS

Float = NDArray[np.float64]

DAYS: Final = 2192
EVENTS_D: Final = ((300, 800), (1300, 1900))
"""Two events a network: their first days lie in these intervals."""
SNR: Final = (3.5, 10.0)
DURATION_D: Final = (5, 12, 30)
WHITE_M, FLICKER_M, COMMON_M = 1.5e-3, 3e-3, 1e-3
ENOUGH: Final = 50
"""Networks from which the row says whether the must is met."""
ALONG_M: Final = (-30e3, 30e3)
"""Where along the fault events lie: the stations do."""
VERTICAL: Final = 3.0
"""Noise of up over that of east and north."""


@dataclass(frozen=True)
class Trial:
    """One planted event: optimal signal-to-noise ratio, whether found and published, error of its middle in days."""

    snr: float
    found: bool
    published: bool
    error_d: float


def trials(networks: int, simulated_yr: float, seed: int = 5) -> tuple[list[Trial], int, float]:
    """Plant two events in each of so many networks; returns them, the number of false published, the threshold."""
    settings, out, false = GnssDetectSettings(simulated_yr=simulated_yr), [], 0
    place, count = np.array([station.lonlat() for station in STATIONS]), len(STATIONS)
    threshold = np.nan
    for number in range(networks):
        generator = np.random.default_rng([seed, number])
        noise = series_of(generator, 3 * count, DAYS, WHITE_M, FLICKER_M, 0.0).reshape(count, 3, DAYS)
        noise += COMMON_M * generator.standard_normal((3, DAYS))
        noise *= np.array([1.0, 1.0, VERTICAL])[:, None]
        series = network_of(noise, place=place)
        background, onset, network = prepare(series, {})
        if np.isnan(threshold):
            threshold = simulated(background, network, settings)
        planted = []
        for first, last in EVENTS_D:
            day, duration = int(generator.integers(first, last)), int(generator.choice(DURATION_D))
            moved = _slip(generator, series.longitude, series.latitude)
            nearest = DURATIONS_D[int(np.argmin(np.abs(np.array(DURATIONS_D) - duration)))]
            unit = _unit_snr(onset.ramps(nearest), moved, day)
            snr = float(generator.uniform(*SNR))
            series.position[:] += (snr / unit * moved)[:, :, None] * event_column(np.arange(DAYS), day, duration)
            planted.append((day + duration / 2, duration, snr))
        found = search(*prepare(series, {}), threshold, settings)
        middles = [d.day + d.duration_d / 2 for d in found.detections]
        shown = [d.day + d.duration_d / 2 for d in found.detections if d.published]
        for middle, duration, snr in planted:
            error = min((abs(m - middle) for m in middles), default=np.inf)
            near = max(30.0, duration)
            out.append(Trial(snr, error <= near, any(abs(m - middle) <= near for m in shown), error))
        false += sum(all(abs(m - middle) > 60 for middle, _, _ in planted) for m in shown)
        print(f"network {number + 1} of {networks}: {out[-2:]}, {false} false", flush=True)
    return out, false, float(threshold)


def _unit_snr(ramps: Ramps, moved: Float, day: int) -> float:
    """Signal-to-noise ratio of displacements (station, 3) in the noise as it was drawn: all pairs correlate alike."""
    total = 0.0
    for component in range(3):
        z = ramps.z[:, component]
        count, alike = len(z), np.asarray(np.corrcoef(z[:, np.isfinite(z).all(axis=0)]))
        correlation = (float(alike.sum()) - count) / (count**2 - count)
        matrix = correlation + (1 - correlation) * np.eye(count)
        size = np.nan_to_num(moved[:, component] / ramps.sigma[:, component, day])
        total += float(size @ np.linalg.solve(matrix, size))
    return float(np.sqrt(total))


def _slip(generator: np.random.Generator, longitude: Float, latitude: Float) -> Float:
    """Displacement (station, 3) of a metre of slip on a patch of the twin's fault, 8 to 16 km long, 1 to 5 km deep."""
    east, north, _, _ = local_coordinates(longitude, latitude)
    length, top = float(generator.uniform(8e3, 16e3)), float(generator.uniform(1e3, 5e3))
    middle = frame_position(float(generator.uniform(*ALONG_M)), top / np.tan(np.radians(DIP_DEG)))
    return right_lateral(east, north, middle, top, length, 0.6 * length, 1.0)


def twin_row(networks: int, simulated_yr: float) -> Row:
    """Recall and error of the middle of what was found."""
    out, false, threshold = trials(networks, simulated_yr)
    stated = GnssDetectSettings().false_alarms_per_yr * 6 * networks

    def recall(low: float, high: float) -> tuple[float, int]:
        chosen = [t.found for t in out if low <= t.snr < high]
        return (float(np.mean(chosen)) if chosen else float("nan")), len(chosen)

    (strong, n_strong), (middle, n_middle), (weak, n_weak) = recall(6.5, 99), recall(5, 6), recall(0, 5)
    error = float(np.median([t.error_d for t in out if t.found] or [np.nan]))
    shown = 100 * float(np.mean([float(t.published) for t in out if t.found] or [np.nan]))
    return Row(
        "twin, 16 stations, 6 years: recall at optimal SNR >= 6.5 / 5-6; error of the middle, median",
        "0.95 / 0.7; 4 d", "1.0 / 0.8; 2 d",
        f"{len(out)} events in {networks} networks:"
        f" {strong:.2f} of {n_strong} / {middle:.2f} of {n_middle} (below 5: {weak:.2f} of {n_weak});"
        f" {error:.1f} d; {shown:.0f} % of the found published; {false} false published in"
        f" {6 * networks} years, {stated:.0f} stated; threshold T2 {threshold:.1f} ({simulated_yr:g} years of noise)",
        (strong >= 0.95 and middle >= 0.7 and error <= 4) if networks >= ENOUGH else None,
    )  # fmt: skip


def twin(places: Places) -> Row:
    """The row, of as many networks as are asked for; 50 of them hold 100 events."""
    return twin_row(places.networks, GnssDetectSettings().simulated_yr)
