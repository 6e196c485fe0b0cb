"""THE table of products: every variable's dimensions, type, units, meaning and sign.

`slipscan.vocabulary` holds a dataset to it. `docs/products.md` is generated from it.
"""

from __future__ import annotations

from dataclasses import dataclass

from slipscan.errors import SlipscanError

TOWARD = "positive toward the satellite"


@dataclass(frozen=True)
class Variable:
    """One variable of a product: CF attributes and the contract on its array.

    `flag_meanings` name the bits of a variable of flags, the lowest first.
    """

    name: str
    dims: tuple[str, ...]
    units: str
    long_name: str
    sign: str = ""
    dtype: str = "float32"
    required: bool = True
    flag_meanings: tuple[str, ...] = ()


_YX = ("y", "x")
_TYX = ("time", "y", "x")

_GEOMETRY = (
    Variable("los_east", _YX, "1", "east component of the unit vector ground to satellite", required=False),
    Variable("los_north", _YX, "1", "north component of the unit vector ground to satellite", required=False),
    Variable("los_up", _YX, "1", "up component of the unit vector ground to satellite", required=False),
    Variable("height", _YX, "m", "topographic height", required=False),
)

_STACK = (
    Variable("displacement", _TYX, "m", "cumulative line-of-sight displacement since reference_time", TOWARD),
    Variable(
        "inversion_std",
        _TYX,
        "m",
        "misclosure part of the standard deviation of displacement",
        required=False,
    ),
    Variable("temporal_coherence", _YX, "1", "temporal coherence of the network inversion", required=False),
    Variable("closure_rms", _YX, "m", "RMS of the closure of interferogram triplets", required=False),
    Variable(
        "unwrapping_error_share", _YX, "1", "share of the triplets that misclosed by whole cycles", required=False
    ),
    Variable(
        "phase_bias", _YX, "m/yr", "chains of short pairs minus long pairs of up to 40 days", TOWARD, required=False
    ),
    *_GEOMETRY,
)

_OF_TRANSIENT = tuple(
    Variable(name, ("transient",), units, long_name, dtype=dtype, required=False)
    for name, units, long_name, dtype in (
        ("p_is_bound", "1", "1 where p_value is an upper bound: the nulls tell no smaller one", "int8"),
        ("false_alarms", "1", "expected number of false alarms as strong in this scan", "float64"),
        ("false_discovery_rate", "1", "expected share of false alarms among what is as strong in this scan", "float64"),
        ("found_by_field", "1", "1 where the denoiser proposed it, 0 where the scan alone did", "int8"),
        ("found_on_fault", "1", "1 where the search along mapped faults found it", "int8"),
        ("threshold", "1", "of the statistic, in the search that found it", "float64"),
        ("residue", "1", "1 where it looks like an unwrapping fault: whole cycles in a compact patch", "int8"),
        ("peak_positive", "m", "largest displacement toward the satellite in the footprint", "float64"),
        ("peak_negative", "m", "largest displacement away from the satellite in the footprint, negative", "float64"),
        ("area", "km2", "of the footprint", "float64"),
        ("t05_error", "d", "half the width of the 68 % interval of t05", "float64"),
        ("t50_error", "d", "half the width of the 68 % interval of t50", "float64"),
        ("t95_error", "d", "half the width of the 68 % interval of t95", "float64"),
    )
)

_NOISE_NUMBERS = tuple(
    Variable(name, (), units, long_name, dtype="float64", required=False)
    for name, units, long_name in (
        ("exponent_error", "1", "standard error of exponent"),
        ("exponent_middle", "1", "exponent between wavelengths of 1.5 and 0.25 km"),
        ("outer_scale", "m", "wavelength above which turbulence saturates"),
        ("outer_scale_error", "m", "standard error of outer_scale"),
        ("anisotropy", "1", "correlation length of turbulence along its long axis over that across, >= 1"),
        ("anisotropy_error", "1", "standard error of anisotropy"),
        ("anisotropy_azimuth", "degree", "azimuth of the long axis of turbulence, clockwise from north, 0 to 180"),
        ("turbulence_std", "m", "standard deviation of the turbulence of an epoch of median strength"),
        ("turbulence_std_error", "m", "standard error of turbulence_std"),
        ("strength_log_std", "1", "standard deviation between epochs of the logarithm of the strength"),
        ("strength_log_std_error", "1", "standard error of strength_log_std"),
        ("white_std_error", "m", "standard error of white_std"),
        ("ramp_std", "m", "standard deviation of planes across the scene"),
        ("ramp_std_error", "m", "standard error of ramp_std"),
        ("stratified_std", "1", "standard deviation between epochs of the slope with height (m per m)"),
        ("stratified_std_error", "1", "standard error of stratified_std"),
        ("stratified_annual", "1", "amplitude of the annual part of the slope with height (m per m)"),
        ("stratified_annual_error", "1", "standard error of stratified_annual"),
    )
)

PRODUCTS: dict[str, tuple[Variable, ...]] = {
    "interferograms": (
        Variable(
            "interferogram",
            ("pair", "y", "x"),
            "m",
            "line-of-sight displacement from reference_date to secondary_date",
            TOWARD,
        ),
        Variable("coherence", ("pair", "y", "x"), "1", "interferometric coherence", required=False),
        Variable(
            "component",
            ("pair", "y", "x"),
            "1",
            "connected component of the unwrapping, from 1; 0 = none",
            dtype="int16",
            required=False,
        ),
        *_GEOMETRY,
    ),
    "granule": (
        Variable(
            "interferogram",
            _YX,
            "m",
            "line-of-sight displacement from reference_date to secondary_date, no correction applied",
            TOWARD,
        ),
        Variable("coherence", _YX, "1", "interferometric coherence", required=False),
        Variable(
            "component",
            _YX,
            "1",
            "connected component of the unwrapping, from 1; 0 = none",
            dtype="int16",
            required=False,
        ),
        Variable("tide", _YX, "m", "part of interferogram that is solid Earth tide", TOWARD, required=False),
        Variable("ionosphere", _YX, "m", "part of interferogram that is ionospheric delay", TOWARD, required=False),
        Variable("troposphere", _YX, "m", "part of interferogram that is tropospheric delay", TOWARD, required=False),
        *_GEOMETRY,
    ),
    "stack": _STACK,
    "noise": (
        Variable("epoch_rms", ("time",), "m", "RMS over space of the residual of an epoch"),
        Variable(
            "stratified_slope",
            ("time",),
            "1",
            "slope of the residual of an epoch with height (m per m)",
            required=False,
        ),
        Variable("power_spectrum", ("wavenumber",), "m2", "isotropic power of the residual per wavenumber bin"),
        Variable("white_std", (), "m", "standard deviation of the white floor", dtype="float64"),
        Variable("exponent", (), "1", "exponent of the 2-D power law below the white floor", dtype="float64"),
        Variable(
            "band_std",
            ("time", "band"),
            "m",
            "standard deviation of an epoch's delay between Gaussians of width band/2 and band, height's part removed",
            required=False,
        ),
        Variable(
            "band_white_std",
            ("time", "band"),
            "m",
            "standard deviation of what is white in time, in a typical place without events",
            required=False,
        ),
        Variable(
            "red_variance",
            ("band",),
            "1/yr",
            "variance that a random walk beside it gains in a year, over the median squared band_white_std",
            dtype="float64",
            required=False,
        ),
        Variable(
            "red_variance_error", ("band",), "1/yr", "standard error of red_variance", dtype="float64", required=False
        ),
        Variable(
            "red_averaging",
            ("band",),
            "d",
            "longest means before and after that are better than shorter ones; infinite without a random walk",
            dtype="float64",
            required=False,
        ),
        Variable(
            "turbulence_epoch_std", ("time",), "m", "standard deviation of the turbulence of an epoch", required=False
        ),
        Variable(
            "stratified_slope_error", ("time",), "1", "standard error of stratified_slope (m per m)", required=False
        ),
        Variable(
            "bounded",
            (),
            "1",
            "estimates that a bound set and not the data: the stack tells little about them",
            dtype="int16",
            required=False,
            flag_meanings=(
                "exponent",
                "exponent_middle",
                "outer_scale",
                "anisotropy",
                "turbulence_std",
                "strength_log_std",
                "turbulence_epoch_std",
                "red_variance",
            ),
        ),
        *_NOISE_NUMBERS,
    ),
    "denoised": (
        Variable("transient", _TYX, "m", "displacement by events about its temporal mean", TOWARD),
        Variable("denoised_std", _TYX, "m", "standard deviation of offset + rate + season + transient"),
        Variable("offset", ("part", "y", "x"), "m", "offset of each connected part of the network", TOWARD),
        Variable("rate", _YX, "m/yr", "secular rate of displacement", TOWARD),
        *(
            Variable(
                f"{wave}_{part}", _YX, "m", f"{part}ine of the {wave} wave of displacement", TOWARD, required=False
            )
            for wave in ("annual", "semiannual")
            for part in ("cos", "sin")
        ),
        Variable("evidence", _YX, "1", "energy that data and events have in common near by, noise being 1"),
        Variable(
            "candidate_map",
            ("candidate", "y", "x"),
            "m",
            "displacement by one candidate of an event from the first to the last epoch; 0 where it was not looked for",
            TOWARD,
            required=False,
        ),
        Variable("candidate_std", ("candidate", "y", "x"), "m", "standard deviation of candidate_map", required=False),
        Variable(
            "candidate_history",
            ("candidate", "time"),
            "1",
            "fraction of candidate_map reached at an epoch",
            dtype="float64",
            required=False,
        ),
        Variable(
            "candidate_evidence",
            ("candidate",),
            "1",
            "energy that candidate and data have in common, noise being 1",
            dtype="float64",
            required=False,
        ),
    ),
    "transients": (
        Variable("map", ("transient", "y", "x"), "m", "total displacement of the transient", TOWARD),
        Variable("map_std", ("transient", "y", "x"), "m", "standard deviation of map"),
        Variable("footprint", ("transient", "y", "x"), "1", "1 where the transient is detected", dtype="int8"),
        Variable("history", ("transient", "time"), "1", "fraction of the transient reached at an epoch"),
        Variable(
            "change_weight", ("transient", "time"), "1", "weight of an epoch in the sum that is map", required=False
        ),
        Variable(
            "change_error",
            ("transient",),
            "1",
            "relative standard error of the size of map, which the uncertainty of its history leaves",
            dtype="float64",
            required=False,
        ),
        Variable("ongoing", ("transient",), "1", "1 where t95 may lie past the last epoch", dtype="int8"),
        Variable("left_censored", ("transient",), "1", "1 where t05 may lie before the first epoch", dtype="int8"),
        Variable("statistic", ("transient",), "1", "cluster statistic of the transient", dtype="float64"),
        Variable(
            "p_value",
            ("transient",),
            "1",
            "probability of a false alarm this strong anywhere in the scan",
            dtype="float64",
        ),
        *_OF_TRANSIENT,
        *_GEOMETRY,
    ),
}


def variable_table(product: str) -> dict[str, Variable]:
    """The variables of a product by name; raises SlipscanError for an unknown product."""
    if product not in PRODUCTS:
        raise SlipscanError(f"there is no product {product!r}: slipscan knows {', '.join(PRODUCTS)}")
    return {variable.name: variable for variable in PRODUCTS[product]}
