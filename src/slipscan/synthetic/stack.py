"""A labelled scene as a stack, with the truth beside it."""

from __future__ import annotations

import numpy as np
import xarray as xr

from slipscan.geometry import Grid, from_lonlat, utm_crs, write_grid
from slipscan.synthetic.scene import TrainingScene
from slipscan.vocabulary import annotate

PLACE = (32.6, 40.8)
"""Longitude and latitude of a scene's centre: near the North Anatolian Fault."""


def stack_of(scene: TrainingScene, pixel_m: float, peak_m: float | None = None) -> xr.Dataset:
    """The stack that a scene shows, and what events moved the ground by in it.

    Parameters
    ----------
    scene
        of `draw_scene`
    pixel_m
        side of a cell
    peak_m
        the largest displacement that the events bring by the last epoch; None: as it was drawn

    Returns
    -------
    dataset
        product 'stack', and beside it `events` (time, y, x) m, the truth
    """
    events, displacement = scene.events, scene.displacement
    largest = float(np.abs(events[-1]).max())
    if peak_m is not None and largest > 0:
        scaled = events * np.float32(peak_m / largest)
        displacement, events = displacement + scaled - events, scaled
    rows, columns = scene.height.shape
    crs = utm_crs(*PLACE)
    x0, y0 = (float(value) for value in from_lonlat(np.array(PLACE[0]), np.array(PLACE[1]), crs))
    x = x0 + (np.arange(columns) - (columns - 1) / 2) * pixel_m
    y = y0 - (np.arange(rows) - (rows - 1) / 2) * pixel_m
    los = {f"los_{name}": part for name, part in zip(("east", "north", "up"), scene.los, strict=True)}
    time = scene.time.astype("datetime64[s]").astype("datetime64[ns]")  # as stores keep them
    dataset = xr.Dataset(
        {
            "displacement": (("time", "y", "x"), displacement),
            "height": (("y", "x"), scene.height),
            **{name: (("y", "x"), np.full(scene.height.shape, part)) for name, part in los.items()},
        },
        coords={"time": time, "reference_time": time[0]},
        attrs={"title": "synthetic scene", "orbit_direction": scene.orbit_direction},
    )
    out = annotate(write_grid(dataset, Grid(x, y, crs)), "stack")
    out["events"] = (("time", "y", "x"), events, {"units": "m", "long_name": "displacement by events: the truth"})
    return out
