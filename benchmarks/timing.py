"""How well the scan times what it finds: errors of t50 and duration, and how often intervals hold the truth.

    python benchmarks/timing.py --events 400

Series of one place: 150 epochs of 6 to 36 days, each with noise of its own, rate and season unknown; steps (a sixth)
and ramps of 6 to 500 days, of a signal-to-noise ratio of 5 to 25 beside rate and season.
"""

from __future__ import annotations

import argparse
import dataclasses

import numpy as np
import torch

from slipscan.detect.bands import band_of
from slipscan.detect.ramp import Epochs, Ramp
from slipscan.detect.scan import Scanner
from slipscan.detect.timing import SHARES
from slipscan.fit.background import fitted
from slipscan.fit.ramps import projected
from slipscan.settings import DetectSettings

EPOCHS, STEPS = 150, 0.15
LONGEST_D, SNR = 500.0, (5.0, 25.0)
BINS = ((5.0, 8.0), (8.0, 15.0), (15.0, 25.0))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=400)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    rows = np.array([row for number in range(chosen.events) if (row := measured(number)) is not None])
    snr, truth, error, stated = rows[:, 0], rows[:, 1:4], rows[:, 4:7], rows[:, 7:10]
    length = truth[:, 2] - truth[:, 0]
    print("| SNR | t95 - t05 | events | t50 error | duration error (bias) | in the 68 % interval: t05, t50, t95 |")
    print("|---|---|---|---|---|---|")
    for low, high in BINS:
        for name, some in (("to 60 d", length <= 60), ("60 to 450 d", length > 60)):
            at = some & (snr >= low) & (snr < high)
            inside = (np.abs(error[at]) <= stated[at]).mean(axis=0)
            longer = error[at, 2] - error[at, 0]
            print(
                f"| {low:g}-{high:g} | {name} | {at.sum()} | {np.median(np.abs(error[at, 1])):.0f} d |"
                f" {np.median(np.abs(longer)):.0f} d ({np.median(longer):+.0f}) |"
                f" {inside[0]:.2f}, {inside[1]:.2f}, {inside[2]:.2f} |"
            )
    inside = (np.abs(error) <= stated).mean(axis=0)
    print(f"all: {len(rows)} of {chosen.events} found; {inside[0]:.2f}, {inside[1]:.2f}, {inside[2]:.2f}")


def measured(number: int) -> tuple[float, ...] | None:
    """SNR, times (days), their errors and stated errors of an event; None: not found."""
    generator = np.random.default_rng(number)
    days = np.cumsum(generator.choice([12, 12, 12, 12, 24, 6, 36], EPOCHS))
    epochs = Epochs(np.datetime64("2015-01-01", "ns") + days * np.timedelta64(1, "D"))
    std = np.exp(0.35 * generator.standard_normal(EPOCHS))
    duration = 0.0 if generator.random() < STEPS else float(np.exp(generator.uniform(np.log(6), np.log(LONGEST_D))))
    margin = 0.1 * np.ptp(epochs.days)
    truth = Ramp(float(generator.uniform(epochs.days[0] + margin, epochs.days[-1] - margin)), duration)
    weight, shape, design = torch.from_numpy(std**-2), epochs.columns([truth]), epochs.design()
    information = float((projected(shape, design, weight).square() * weight[:, None]).sum())
    snr = float(np.exp(generator.uniform(*np.log(SNR))))
    series = snr / information**0.5 * shape + torch.from_numpy(std * generator.standard_normal(EPOCHS))[:, None]
    series = (series - fitted(series, torch.ones_like(series), design, weight)).float()
    band = band_of(series.clone(), torch.ones(EPOCHS, 1, dtype=torch.bool), (1, 1), 0, 4.0, 4.0)
    # The noise of an epoch is told by many places.
    band = dataclasses.replace(band, values=series, weight=weight.float(), std=torch.ones(1))
    scanner = Scanner([band], epochs, (1, 1), 2.0, DetectSettings())
    best = scanner.strongest()
    if best is None or best.statistic < SNR[0]:
        return None
    ramp, timing = scanner.timed(best, [])
    assert timing is not None
    true, found = (np.array([one.reached(share) for share in SHARES]) for one in (truth, ramp))
    return snr, *true, *(found - true), *timing.errors_d


if __name__ == "__main__":
    main()
