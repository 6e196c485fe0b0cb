"""Units as people write them, converted once, at the edge where data comes in."""

from __future__ import annotations

METRES = {
    "m": 1.0, "metre": 1.0, "metres": 1.0, "meter": 1.0, "meters": 1.0,
    "cm": 0.01, "centimetre": 0.01, "centimetres": 0.01, "centimeter": 0.01, "centimeters": 0.01,
    "mm": 0.001, "millimetre": 0.001, "millimetres": 0.001, "millimeter": 0.001, "millimeters": 0.001,
}  # fmt: skip
"""The units of length that are understood; at the edge they become metres."""
PER_YEAR = ("/yr", "/year", "/a", " yr-1", " year-1")
NUMBER = ("1", "", "none", "unitless", "dimensionless", "-")


def factor(given: str | None, units: str) -> float | None:
    """What turns values in units `given` into the contract's `units`; None where it is not known.

    What has no dimension needs no units.
    """
    text = str(given if given is not None else "").strip()
    if text == units:
        return 1.0
    if units == "m":
        return METRES.get(text.lower())
    if units == "m/yr":
        return next((METRES.get(text.lower().removesuffix(year)) for year in PER_YEAR if text.endswith(year)), None)
    return 1.0 if units == "1" and text.lower() in NUMBER else None
