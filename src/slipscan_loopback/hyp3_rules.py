"""What the HyP3 API accepts, the job it makes of it, its cost: by multi_burst_validation.py and job_spec/*.yml."""

from __future__ import annotations

import datetime
import json
import uuid
from collections.abc import Collection
from typing import Any

from slipscan_loopback.hyp3_products import BURST, PIXEL_M, Order, burst_time

Parameters = dict[str, Any]

MAX_BURSTS = 15
SAME_PASS = datetime.timedelta(minutes=2)


def _steps(*bounds: tuple[int, float]) -> dict[str, float]:
    """A cost table by number of pairs: (last number, cost)."""
    table: dict[str, float] = {}
    for last, cost in bounds:
        table.update({str(count): cost for count in range(len(table) + 1, last + 1)})
    return table


COSTS: dict[str, Any] = {
    "ARIA_S1_GUNW": {"cost": 60.0},
    "INSAR_ISCE_MULTI_BURST": {
        "cost_parameters": ["looks", "reference"],
        "cost_table": {
            "20x4": _steps((4, 1.0), (12, 5.0), (15, 10.0)),
            "10x2": _steps((3, 1.0), (9, 5.0), (15, 10.0)),
            "5x1": _steps(
                *((n, max(1.0, 5.0 * (n - 1))) for n in range(1, 11)), *((n, 5.0 * (n + 7)) for n in range(11, 16))
            ),
        },
    },
}
"""Credits, in the shape of GET /costs since version 10 of the API; of a list (`reference`) the length is looked up."""


def cost(job_type: str, parameters: Parameters) -> float:
    """Credits of a job, by COSTS."""
    definition = COSTS[job_type]
    if "cost" in definition:
        return float(definition["cost"])
    table = definition["cost_table"]
    for name in definition["cost_parameters"]:
        value = parameters[name]
        table = table[str(len(value) if isinstance(value, list) else value)]
    return float(table)


def order(parameters: Parameters) -> Order:
    """The order of a multi-burst job."""
    return Order(
        tuple(parameters["reference"]),
        tuple(parameters["secondary"]),
        parameters["looks"],
        parameters["apply_water_mask"],
    )


def dates(job_type: str, parameters: Parameters) -> tuple[datetime.date, datetime.date]:
    """Older and newer date of a job; a GUNW's order calls the newer one reference."""
    if job_type == "ARIA_S1_GUNW":
        newer, older = (
            datetime.date.fromisoformat(parameters[f"{which}_date"]) for which in ("reference", "secondary")
        )
        return older, newer
    return order(parameters).dates


def new_job(
    submitted: dict[str, Any], number: int, user: str, credits: float, time: datetime.datetime
) -> dict[str, Any]:
    """The record of an order as a job: what it leaves out at its defaults, its cost, an id of its own by `number`."""
    defaults = {"looks": "20x4", "apply_water_mask": False}
    parameters = submitted["job_parameters"]
    if submitted["job_type"] == "INSAR_ISCE_MULTI_BURST":
        parameters = {**defaults, **parameters}
    return {
        "job_id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"{number} {json.dumps(submitted, sort_keys=True)}")),
        "user_id": user,
        "status_code": "PENDING",
        "execution_started": False,
        "request_time": time.isoformat(timespec="seconds"),
        "priority": max(0, min(int(credits), 9999)),
        **submitted,
        "job_parameters": parameters,
        "credit_cost": cost(submitted["job_type"], parameters),
    }


def refusal(job: Any, granules: Collection[str] | None, gunw: bool) -> str | None:
    """Why an order is not accepted; `granules` are the bursts that exist (None: any), `gunw`: such jobs are taken."""
    if not isinstance(job, dict) or not isinstance(parameters := job.get("job_parameters"), dict):
        return f"{job!r} is not valid under any of the given schemas"
    if not 1 <= len(job.get("name", "-")) <= 100:
        return f"{job['name']!r} is too short or too long: a name has 1 to 100 characters"
    if job.get("job_type") == "INSAR_ISCE_MULTI_BURST":
        return bursts_refusal(parameters, granules)
    if job.get("job_type") == "ARIA_S1_GUNW" and gunw:
        return gunw_refusal(parameters)
    return f"{job.get('job_type')!r} is not one of {sorted(COSTS)}"


def gunw_refusal(parameters: Parameters) -> str | None:
    """Why an order of a GUNW is not accepted."""
    for name, kind in (("reference_date", str), ("secondary_date", str), ("frame_id", int)):
        if not isinstance(parameters.get(name), kind):
            return f"'{name}' is a required property"
    try:
        older, newer = dates("ARIA_S1_GUNW", parameters)
    except ValueError as error:
        return str(error)
    return "secondary date must be earlier than reference date" if older >= newer else None


def bursts_refusal(parameters: Parameters, granules: Collection[str] | None) -> str | None:
    """Why an order of a multi-burst interferogram is not accepted; `granules` are the bursts that exist (None: any)."""
    reference, secondary = parameters.get("reference", []), parameters.get("secondary", [])
    if parameters.get("looks", "20x4") not in PIXEL_M:
        return f"{parameters['looks']!r} is not one of {list(PIXEL_M)}"
    for which, names in (("reference", reference), ("secondary", secondary)):
        if not 1 <= len(names) <= MAX_BURSTS:
            return f"Must include between 1 and {MAX_BURSTS} {which} scenes, got {len(names)}"
    malformed = [name for name in (*reference, *secondary) if BURST.fullmatch(name) is None]
    if malformed:
        return f"'{malformed[0]}' does not match the pattern '{BURST.pattern}'"
    if len(reference) != len(secondary):
        return (
            "Must provide the same number of reference and secondary scenes, got"
            f" {len(reference)} reference and {len(secondary)} secondary"
        )
    return _identifiers_refusal(reference, secondary) or _times_refusal(reference, secondary) or _missing(
        [*reference, *secondary], granules
    )  # fmt: skip


def _identifiers_refusal(reference: list[str], secondary: list[str]) -> str | None:
    """The same bursts on both sides, each once, of one polarization."""
    of_reference, of_secondary = ({_identifier(name) for name in names} for names in (reference, secondary))
    if of_reference != of_secondary:
        return (
            "Burst number + swath + polarization identifiers must be the same for reference scenes and secondary scenes"
        )
    if len(of_reference) != len(reference):
        return "Each reference scene must have a unique burst number + swath + polarization identifier"
    polarizations = sorted({polarization for *_, polarization in of_reference})
    if len(polarizations) > 1:
        return f"Scenes must have the same polarization. Polarizations present: {', '.join(polarizations)}"
    if polarizations[0] not in ("VV", "HH"):
        return f"{polarizations[0]} polarization is not currently supported, only VV and HH"
    return None


def _identifier(name: str) -> tuple[str, str, str]:
    _, number, swath, _, polarization, _ = name.split("_")
    return number, swath, polarization


def _times_refusal(reference: list[str], secondary: list[str]) -> str | None:
    """One pass on each side, the reference older."""
    before, after = (sorted(map(burst_time, names)) for names in (reference, secondary))
    for which, times in (("Reference", before), ("Secondary", after)):
        if times[-1] - times[0] > SAME_PASS:
            return (
                f"{which} scenes must fall within a 2-minute window in order to ensure they were collected during the"
                " same pass"
            )
    return "Reference scenes must be older than secondary scenes" if before[-1] >= after[0] else None


def _missing(names: list[str], granules: Collection[str] | None) -> str | None:
    unknown = [name for name in names if granules is not None and name not in granules]
    return f"Some requested scenes could not be found: {', '.join(unknown)}" if unknown else None
