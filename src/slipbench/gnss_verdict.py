"""The verdict of GNSS measured: events that happened, events that did not, and a step of the whole network.

A trial is a fault under a network of stations. What InSAR would say of it is another fault, which explains a stated
share of the displacement of the ground in two lines of sight; its times are off by days. Daily positions hold white,
flicker and shared noise; amplitudes and correlation are estimated from them, as for real stations.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from slipbench.gnss_rows import Places, Row
from slipscan.geometry import los_from_incidence_heading
from slipscan.gnss.compare import DECIDABLE, PATTERN_ERROR, SENSITIVE, Evidence, judge
from slipscan.gnss.event import shared_noise
from slipscan.gnss.network import covariance
from slipscan.gnss.noise import estimate_noise, simulate
from slipscan.gnss.offsets import Daily, Offsets, measure, ramp_columns
from slipscan.gnss.times import around
from slipscan.progress import progress
from slipscan.settings import GnssSettings
from slipscan.source.sources import Fault, displacement

Float = NDArray[np.float64]

YEARS = 6
WHITE_M, FLICKER_M = (1.5e-3, 1.5e-3, 4e-3), (2e-3, 2e-3, 7e-3)
COMMON_SHARE = 0.45
STATIONS = (4, 16)
REACH_M = 20e3
COMMON_STEP_M = 4e-3
T50_ERROR_D, DURATION_ERROR = 6.0, 0.3
SIZES = (0.5, 2.0, 3.0)
EXPLAINED = 0.8
NETWORKS, EVENTS, SEED = 12, 5, 1
"""Of the page."""
BINS = ((DECIDABLE, SENSITIVE), (SENSITIVE, 25.0), (25.0, 50.0), (50.0, np.inf))
WANTED = (("real", "confirmed"), ("absent", "contradicted"), ("absent with a step", "confirmed"))


@dataclass(frozen=True)
class Outcome:
    """One trial: expected chi square of the prediction, and the judgements by the name of the case."""

    strength: float
    verdict: dict[str, str]
    size: dict[str, tuple[float, float]]


@dataclass(frozen=True)
class Bench:
    """A network in noise, ready for trials."""

    east: Float
    north: Float
    daily: Daily
    between: Float


def draw_network(generator: np.random.Generator) -> Bench:
    """Stations at random within 20 km, six years of noise of which a part is shared."""
    count = int(generator.integers(STATIONS[0], STATIONS[1] + 1))
    east, north = generator.uniform(-REACH_M, REACH_M, (2, count))
    days = np.arange(round(365.25 * YEARS), dtype=np.float64) + 0.5
    series = np.zeros((3 * count, len(days)))
    for c in range(3):
        own = simulate(generator, count, len(days), WHITE_M[c], np.sqrt(1 - COMMON_SHARE) * FLICKER_M[c], 0.0)
        series[c::3] = own + simulate(generator, 1, len(days), 1e-3, np.sqrt(COMMON_SHARE) * FLICKER_M[c], 0.0)
    series[np.repeat(generator.random((count, len(days))) < 0.03, 3, axis=0)] = np.nan
    phase = 2 * np.pi * days / 365.25
    design = [np.ones(len(days)), days - days.mean()]
    design += [f(k * phase) for k in (1, 2) for f in (np.cos, np.sin)]
    columns = np.broadcast_to(np.stack(design), (len(series), 6, len(days))).copy()
    residual = np.full_like(series, np.nan)
    for row, left in zip(series, residual, strict=True):
        present = np.isfinite(row)
        a = np.stack(design, axis=1)[present]
        left[present] = row[present] - a @ np.linalg.lstsq(a, row[present], rcond=None)[0]
    daily = Daily((), days, series, columns, estimate_noise(series, columns, residual))
    apart = np.hypot(*(v[:, None] - v for v in (east, north))) / 1e3
    return Bench(east, north, daily, shared_noise(daily, apart))


def draw_fault(generator: np.random.Generator) -> Fault:
    """Strike-slip or thrust of magnitude 4.6 to 6 at 0 to 8 km."""
    magnitude = generator.uniform(4.6, 6.0)
    area = 10 ** (magnitude - 4.0) * 1e6 * float(np.exp(generator.normal(0, 0.4)))
    width = float(np.sqrt(area / 2))
    dip = float(generator.choice([85.0, 30.0]))
    slip = 10 ** (1.5 * magnitude + 9.05) / 30e9 / area
    depth = generator.uniform(0.0, 6e3) + 0.5 * width * np.sin(np.radians(dip))
    rake = np.pi if dip > 60 else np.pi / 2
    east, north = (float(v) for v in generator.uniform(-12e3, 12e3, 2))
    return Fault(
        east, north, float(depth), float(generator.uniform(0, 360)), dip,
        2 * width, width, float(slip * np.cos(rake)), float(slip * np.sin(rake)),
    )  # fmt: skip


def mistaken(generator: np.random.Generator, fault: Fault, explained: float) -> Fault:
    """Another fault, which explains that share of the displacement in two lines of sight around the first."""
    reach = np.linspace(-25e3, 25e3, 21)
    east, north = (v.ravel() for v in np.meshgrid(fault.east + reach, fault.north + reach))
    los = np.stack([los_from_incidence_heading(np.array(37.0), np.array(h)) for h in (-13.0, -167.0)])
    true = displacement(fault, east, north) @ los.T
    direction = generator.standard_normal(7)

    def other(scale: float) -> Fault:
        e, n, z, strike, length, width, slip = scale * direction
        wide = fault.width * float(np.exp(0.3 * width))
        half = 0.5 * wide * float(np.sin(np.radians(fault.dip_deg)))
        return replace(
            fault, east=fault.east + 1e3 * e, north=fault.north + 1e3 * n, width=wide,
            depth=max(half, fault.depth * float(np.exp(0.3 * z))), strike_deg=fault.strike_deg + 5 * strike,
            length=fault.length * float(np.exp(0.3 * length)),
            strike_slip=fault.strike_slip * float(np.exp(0.2 * slip)),
            dip_slip=fault.dip_slip * float(np.exp(0.2 * slip)),
        )  # fmt: skip

    low, high = 0.0, 8.0
    for _ in range(18):
        middle = 0.5 * (low + high)
        left = true - displacement(other(middle), east, north) @ los.T
        worse = 1.0 - float((left**2).sum() / ((true - true.mean(axis=0)) ** 2).sum()) < explained
        low, high = (low, middle) if worse else (middle, high)
    return other(low)


def trial(generator: np.random.Generator, bench: Bench, explained: float) -> Outcome:
    """One event: real, absent, absent with a step of all stations, and real at other sizes."""
    fault = draw_fault(generator)
    predicted = displacement(mistaken(generator, fault, explained), bench.east, bench.north)
    moved = displacement(fault, bench.east, bench.north)
    duration = float(generator.uniform(3.0, 40.0))
    t50 = float(generator.uniform(400.0, bench.daily.days[-1] - 400.0))
    said = (
        t50 + T50_ERROR_D * generator.standard_normal(),
        duration * np.exp(DURATION_ERROR * generator.standard_normal()),
    )
    times = around(said[0] - 0.5 * said[1], said[0] + 0.5 * said[1])
    ramps = ramp_columns(bench.daily.days, times.t50, times.duration_d)
    truth = ramp_columns(bench.daily.days, np.full(2, t50), np.array([duration, 0.1]))
    found = measure(bench.daily, ramps, ramps[:0], truth)
    of_event, of_step = found.response
    way = generator.standard_normal(3) * [1.0, 1.0, 0.3]
    step = COMMON_STEP_M * way / np.linalg.norm(way)
    cases = {
        "real": found.size + of_event * moved,
        "absent": found.size,
        "absent with a step": found.size + of_step * step,
    }
    cases |= {f"real x {size:g}": found.size + size * of_event * moved for size in SIZES}
    covariances = evidence_covariance(found, bench.between, np.eye(3), predicted)
    noise = np.stack([covariance(std, bench.between, np.eye(3), (0.0, 0.0, 0.0)) for std in found.std])
    log_prior, ratio = times.log_prior, GnssSettings().min_log_likelihood_ratio
    judged = {}
    for name, size in cases.items():
        n = size.shape[1]
        evidence = Evidence(
            size.reshape(len(size), -1), covariances, noise, predicted.ravel(), np.repeat(np.arange(n), 3),
            [str(i) for i in range(n)], log_prior,
        )  # fmt: skip
        judged[name] = judge(evidence, ratio)
    strength = SENSITIVE / judged["real"].visible_size ** 2
    return Outcome(
        strength, {k: j.verdict for k, j in judged.items()}, {k: (j.size, j.size_std) for k, j in judged.items()}
    )


def evidence_covariance(found: Offsets, between: Float, formal: Float, predicted: Float) -> Float:
    """Covariances (time, n, n) of the offsets, with what the source gets wrong at a single station."""
    wrong = PATTERN_ERROR * np.linalg.norm(predicted, axis=1) / np.sqrt(3.0)
    total = np.stack([covariance(std, between, formal) for std in found.std])
    total += np.diag(np.repeat(wrong**2, 3))
    return total


def run(networks: int, events: int, seed: int, explained: float = EXPLAINED) -> list[Outcome]:
    """Outcomes of `events` trials in each of `networks`."""
    out = []
    for number in progress(list(range(networks)), "networks"):
        generator = np.random.default_rng([seed, number])
        bench = draw_network(generator)
        out += [trial(generator, bench, explained) for _ in range(events)]
    return out


def share(outcomes: Sequence[Outcome], case: str, verdict: str) -> float:
    """Share of outcomes with a verdict in a case, in per cent."""
    return 100.0 * float(np.mean([o.verdict[case] == verdict for o in outcomes])) if outcomes else float("nan")


def section(outcomes: Sequence[Outcome], command: str) -> list[str]:
    """Lines of a page: verdicts by case, for networks that could see the event."""
    able = _between(outcomes, SENSITIVE, np.inf)
    rows = []
    parts = [
        (f"{low:g} to {high:g}" if high < np.inf else f"above {low:g}", _between(outcomes, low, high))
        for low, high in BINS
    ]
    every = [(f"all above {limit:g}", _between(outcomes, limit, np.inf)) for limit in (SENSITIVE, DECIDABLE)]
    for label, part in (*every, *parts):
        line = [label, str(len(part))]
        for case, verdict in WANTED:
            line.append("-" if not part else f"{share(part, case, verdict):.1f}")
        sizes = [o.size["real"] for o in part]
        ratio = f"{np.median([s for s, _ in sizes]):.2f}" if sizes else "-"
        rows.append([*line, ratio])
    wanted = (f"{case}: {verdict}, %" for case, verdict in WANTED)
    header = ["expected chi square", "events", *wanted, "real: observed / predicted"]
    lines = [f"| {' | '.join(cells)} |" for cells in (header, ["---"] * len(header), *rows)]
    odd = [
        f"{size:g} times: {share(able, f'real x {size:g}', 'confirmed'):.0f} %, observed / predicted"
        f" {np.median([o.size[f'real x {size:g}'][0] for o in able]):.2f}"
        for size in SIZES
    ] if able else []  # fmt: skip
    return [
        "## Verdict", "", f"Written by `{command}`.", "",
        f"{len(outcomes)} faults of Mw 4.6 to 6 under networks of {STATIONS[0]} to {STATIONS[1]} stations within"
        f" {REACH_M / 1e3:.0f} km, {YEARS} years; noise white {_mm(WHITE_M)} mm, flicker {_mm(FLICKER_M)} mm/yr^(1/4),"
        f" {COMMON_SHARE:.0%} of its variance shared; amplitudes and correlation are estimated from the series. What"
        f" is predicted comes from another fault, which explains {EXPLAINED:.0%} of the displacement in two lines of"
        f" sight; the middle is off by {T50_ERROR_D:g} d (one sigma), the duration by {DURATION_ERROR:.0%}."
        f" {len(outcomes) - len(able)} events were too small for their network to see: `insensitive` where it gives no"
        f" verdict, and below {DECIDABLE:g} in any case. Absent with a step: all stations step by"
        f" {1e3 * COMMON_STEP_M:g} mm in one direction at the time of the event.",
        "", *lines, "", f"Confirmed where the event was another size than predicted: {'; '.join(odd)}." if odd else "",
    ]  # fmt: skip


def verdict(_: Places) -> list[Row]:
    """Rows of docs/benchmarks/gnss.md."""
    outcomes = run(NETWORKS, EVENTS, SEED)
    able, faint = _between(outcomes, SENSITIVE, np.inf), _between(outcomes, DECIDABLE, np.inf)
    rows = []
    limits = {
        "real": ("93 %", "97 %", 93.0),
        "absent": ("95 %", "98 %", 95.0),
        "absent with a step": ("1 %", "0", -1.0),
    }
    for case, wanted in WANTED:
        must, aim, limit = limits[case]
        found = share(able, case, wanted)
        what = f"verdict, a source that explains {EXPLAINED:.0%}: {case}, {wanted}, of {len(able)} that can be seen"
        said = f"{found:.1f} % ({share(faint, case, wanted):.1f} % of {len(faint)} above 3 sigma)"
        rows.append(Row(what, must, aim, said, found >= limit if limit > 0 else found <= -limit))
    return rows


def _between(outcomes: Sequence[Outcome], low: float, high: float) -> list[Outcome]:
    return [o for o in outcomes if low <= o.strength < high]


def _mm(values: Sequence[float]) -> str:
    return ", ".join(f"{1e3 * value:g}" for value in values)
