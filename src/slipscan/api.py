"""The public interface: what the stages do, on xarray datasets and geopandas tables instead of files.

Every function is a thin wrapper over the function that the stage of the command line calls. A stack and the products
made of it follow docs/products.md.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import xarray as xr

from slipscan import stack as stacks
from slipscan.models import validate
from slipscan.settings import DenoiseSettings, DetectSettings, SourceSettings

if TYPE_CHECKING:
    import geopandas as gpd

    from slipscan.denoise.method import Method

__all__ = ["denoise", "detect", "from_pretrained", "invert", "open_stack", "simulate"]


def open_stack(path: str | Path, denoised: str | Path | None = None) -> xr.Dataset:
    """Open a displacement stack, and what its denoised product says, lazily.

    Parameters
    ----------
    path
        of a stack, Zarr or NetCDF
    denoised
        of the product of `slipscan denoise` of that stack

    Returns
    -------
    dataset
        product 'stack': displacement (time, y, x) m, positive toward the satellite, ...; with `denoised` also
        the product's variables, and those that follow from them: `denoised` = offset + rate + season + transient,
        and `removed` = displacement - denoised, each (time, y, x) m

    Raises
    ------
    SlipscanError
        a file is missing or breaks its contract, or the two are not of one stack

    Examples
    --------
    >>> import slipscan, tempfile
    >>> from slipscan.store import write_zarr
    >>> stack = slipscan.simulate(seed=3, epochs=20, pixels=32).drop_vars("events")
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     write_zarr(stack, f"{directory}/stack.zarr")
    ...     write_zarr(slipscan.denoise(stack, "classical"), f"{directory}/denoised.zarr")
    ...     whole = slipscan.open_stack(f"{directory}/stack.zarr", f"{directory}/denoised.zarr").load()
    >>> rest = whole.displacement - whole.denoised - whole.removed
    >>> bool(abs(rest).max() < 1e-6), whole.rate.attrs["units"]
    (True, 'm/yr')
    """
    stack = stacks.open_stack(Path(path), in_memory=False)
    if denoised is None:
        return stack
    return stacks.with_denoised(stack, stacks.open_denoised(Path(denoised), stack))


def denoise(
    stack: xr.Dataset,
    method: str | Method = "slipnet",
    weights: str | None = None,
    *,
    device: str = "auto",
    threads: int = 1,
    noise: xr.Dataset | None = None,
    **options: Any,
) -> xr.Dataset:
    """Say what happened in a stack beside rate, season and atmosphere.

    Parameters
    ----------
    stack
        product 'stack'; other variables are left aside
    method
        a denoiser by name (slipnet, classical, zero, rouet_leduc_2021, pixel_series), as `path/to/file.py:Class`,
        or one of `from_pretrained`
    weights
        name of shipped weights or path of a .safetensors file; default: the method's
    device
        'auto', 'cpu' or 'cuda'
    threads
        tiles that are worked on at once; the result does not depend on it
    noise
        product 'noise' of the stack, which tells how noise is correlated in time; None: it is white
    options
        of the method (docs/denoiser.md)

    Returns
    -------
    denoised
        product 'denoised': transient and denoised_std (time, y, x) m, offset, rate, season, evidence

    Raises
    ------
    SlipscanError
        a stack that breaks its contract or has no data; no such method, weights, device or option

    Examples
    --------
    >>> import slipscan
    >>> stack = slipscan.simulate(seed=3, epochs=20, pixels=32)
    >>> denoised = slipscan.denoise(stack, method="classical")
    >>> denoised.transient.dims, denoised.attrs["weights"]
    (('time', 'y', 'x'), 'classical')
    """
    from slipscan.denoise.registry import build
    from slipscan.denoise.stage import denoise_stack

    if isinstance(method, str):
        given = {"method": method, "weights": weights, "device": device, "options": options}
        method = build(validate(DenoiseSettings, given, "slipscan.denoise"))
    # Of an object that was made by hand the product says that it cannot be built again.
    settings = method.settings or DenoiseSettings(method=f"{type(method).__name__}, made by hand")
    return denoise_stack(stacks.as_stack(stack), settings, method, threads, noise=noise)


def detect(
    stack: xr.Dataset,
    denoised: xr.Dataset | None = None,
    *,
    noise: xr.Dataset | None = None,
    threads: int = 1,
    **settings: Any,
) -> gpd.GeoDataFrame:
    """Detect transients in a stack at a stated false-alarm rate; the stack itself calibrates the threshold.

    Parameters
    ----------
    stack
        product 'stack'; other variables are left aside
    denoised
        of `denoise`, for a detector that reads it
    noise
        product 'noise' of the stack, for such a detector: how noise is correlated in time; None: it is white
    threads
        null stacks that are worked on at once
    settings
        of the section `detect` of the configuration (config/README.md): method, nulls, scales_km, ...

    Returns
    -------
    transients
        a row a transient, strongest first, footprints in EPSG:4326: t05, t50, t95 (UTC), statistic, p_value, ongoing,
        left_censored, and the threshold, calibration and weights behind it

    Raises
    ------
    SlipscanError
        a stack that breaks its contract, has no data or is too short; an unknown setting

    Examples
    --------
    >>> import slipscan
    >>> stack = slipscan.simulate(seed=3, epochs=30, pixels=32, peak_m=0.2)
    >>> transients = slipscan.detect(stack, nulls=8)
    >>> transients.crs.to_epsg(), sorted(set(transients.geom_type))
    (4326, ['MultiPolygon'])
    """
    from slipscan.detect.calibrate import calibrate_track
    from slipscan.detect.stage import detect as transients_of
    from slipscan.detect.track import track_in
    from slipscan.source.table import table_of

    chosen = validate(DetectSettings, settings, "slipscan.detect")
    bare = stacks.as_stack(stack)
    product = None if denoised is None else stacks.checked_denoised(denoised, bare)
    dataset, track = track_in(bare, chosen, product, noise=noise)
    return table_of(transients_of(dataset, track, chosen, calibrate_track(track, chosen, threads)))


def invert(stack: xr.Dataset, transients: gpd.GeoDataFrame, **settings: Any) -> gpd.GeoDataFrame:
    """Invert what made each of some transients: a fault, a volume, or nothing that fits.

    Parameters
    ----------
    stack
        that they were found in, with its line of sight
    transients
        rows of `detect`; their maps are estimated again from the stack
    settings
        of the section `source` of the configuration

    Returns
    -------
    events
        the event table (docs/products.md), a row a transient, in the order of their times: type, longitude, latitude,
        depth_km, strike_deg, slip_mm, volume_change_m3, mw_16, mw_50, mw_84, ..., footprints in EPSG:4326

    Raises
    ------
    SlipscanError
        a table that is none of `detect`, or of another stack; an unknown setting

    Examples
    --------
    >>> import slipscan
    >>> stack = slipscan.simulate(seed=3, epochs=30, pixels=32, peak_m=0.2)
    >>> events = slipscan.invert(stack, slipscan.detect(stack, nulls=8).head(1), particles=50, searched=64)
    >>> events.crs.to_epsg(), "variance_explained" in events
    (4326, True)
    """
    from slipscan import events
    from slipscan.detect.track import track_in
    from slipscan.source.maps import track_maps
    from slipscan.source.stage import explain
    from slipscan.source.table import product_of

    chosen = validate(SourceSettings, settings, "slipscan.invert")
    if not len(transients):
        return events.event_table([], events.SOURCE_COLUMNS)
    dataset, track = track_in(stacks.as_stack(stack), detection := DetectSettings())
    table, _ = explain([track_maps(product_of(dataset, track, detection, transients), 0)], chosen)
    return table


def from_pretrained(name: str, *, device: str = "auto", **options: Any) -> Method:
    """A denoiser with its weights, for `denoise`, or to be asked with `fields(observations)`.

    Parameters
    ----------
    name
        of shipped weights, or path of a .safetensors file with its card beside it
    device
        'auto', 'cpu' or 'cuda'
    options
        of the method (docs/denoiser.md)

    Raises
    ------
    SlipscanError
        no such weights or device, damaged weights, an unknown option

    Examples
    --------
    >>> import slipscan
    >>> denoiser = slipscan.from_pretrained("slipscan-1", device="cpu")
    >>> denoiser.name, denoiser.label.split(":")[0]
    ('slipnet', 'slipscan-1')
    """
    from slipscan.denoise import cards
    from slipscan.denoise.registry import build

    given = {"method": cards.method_of(name), "weights": name, "device": device, "options": options}
    return build(validate(DenoiseSettings, given, "slipscan.from_pretrained"))


def simulate(
    seed: int = 0, *, epochs: int = 40, pixels: int = 96, pixel_m: float = 500.0, peak_m: float | None = None
) -> xr.Dataset:
    """A synthetic scene as a stack, with what events moved the ground by beside it.

    Parameters
    ----------
    seed
        of the scene; equal seeds and sizes give equal scenes
    epochs
        12 (sometimes 6) days apart, with gaps
    pixels, pixel_m
        side of the scene in cells; size of a cell
    peak_m
        largest displacement by events from the first to the last epoch, m; None: as it is drawn. Some scenes have no
        event

    Returns
    -------
    stack
        product 'stack' with rate, season and atmosphere in `displacement`, heights and line of sight, and the
        truth, `events` (time, y, x) m, which every other function here leaves aside

    Raises
    ------
    SlipscanError
        an empty grid, fewer than two epochs, a negative seed

    Examples
    --------
    >>> import slipscan
    >>> stack = slipscan.simulate(seed=3, epochs=20, pixels=32, peak_m=0.05)
    >>> dict(stack.sizes), round(float(abs(stack.events[-1]).max()), 3)
    ({'time': 20, 'y': 32, 'x': 32}, 0.05)
    """
    from slipscan.synthetic.scene import draw_scene
    from slipscan.synthetic.stack import stack_of

    return stack_of(draw_scene(seed, 0, epochs=epochs, pixels=pixels, pixel_m=pixel_m), pixel_m, peak_m)
