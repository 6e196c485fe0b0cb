"""What the scan could see of the events that the twin of Ismetpasa holds, after `make naf`.

    python benchmarks/north_anatolian.py results/naf/NAF-TWIN

Of every planted event the signal-to-noise ratio of its own pattern and time in each band of the scan, beside rate and
season and under the noise of the track: what a search would have that knew all of it. And the projection of the data on
that pattern, in the same unit.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr
from numpy.typing import NDArray
from pyproj import Transformer

from slipscan.detect.bands import Band, filtered
from slipscan.detect.ramp import Epochs, Ramp
from slipscan.detect.statistic import filters_of, statistics
from slipscan.detect.track import open_track
from slipscan.forward.okada import okada_surface
from slipscan.settings import DetectSettings
from slipscan.store import open_zarr


def pattern(event: dict[str, Any], stack: xr.Dataset) -> torch.Tensor:
    """Line-of-sight displacement (y, x) of a planted event, m."""
    to_metres = Transformer.from_crs(4326, stack["spatial_ref"].attrs["crs_wkt"], always_xy=True)
    east0, north0 = to_metres.transform(event["longitude"], event["latitude"])
    east, north = np.meshgrid(stack["x"].values, stack["y"].values)
    width = 1e3 * event["width_km"]
    moved = okada_surface(
        torch.from_numpy(east.ravel()), torch.from_numpy(north.ravel()), east0=east0, north0=north0,
        depth_top=max(0.0, 1e3 * event["depth_km"] - width / 2 * np.sin(np.radians(event["dip_deg"]))),
        strike_deg=event["strike_deg"], dip_deg=event["dip_deg"], length=1e3 * event["length_km"], width=width,
        rake_deg=event["rake_deg"], slip=1e-3 * event["slip_mm"],
    ).reshape(-1, 3).T.reshape(3, *east.shape)  # fmt: skip
    los = torch.from_numpy(np.stack([stack[f"los_{name}"].values for name in ("east", "north", "up")]))
    return (moved * los).sum(0)


def seen(band: Band, epochs: Epochs, ramp: Ramp, field: torch.Tensor, pixel_km: float) -> tuple[float, float]:
    """Signal-to-noise ratio that is expected in a band, and what the data have of it."""
    filters = filters_of(epochs.columns([ramp]), epochs, (), band.weight, red=band.red)
    size = filtered(torch.nan_to_num(field)[None].float(), band, pixel_km)[0].flatten() / band.std
    expected: NDArray[np.float64] = (size * filters.energy.sum().sqrt()).nan_to_num().double().numpy()
    total, cells = float(np.linalg.norm(expected)), (band.place_km2 / band.cell_km2) ** 0.5
    return total * cells, float(statistics(band, filters)[0].double().numpy() @ expected) / total * cells


def main() -> None:
    """Print a row an event and track."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("region", type=Path, help="results of the region, with its truth.json")
    region = parser.parse_args().region
    truth = json.loads((region / "truth.json").read_text())
    events = [one for one in [*truth["events"], *truth["distractors"]] if "slip_mm" in one]
    print("| event | Mw | track | peak, mm | expected SNR (data), by band |\n| --- | --- | --- | --- | --- |")
    for place in sorted(path.parent for path in region.glob("*/transients.zarr")):
        _, track = open_track(place / "stack.zarr", DetectSettings(), noise=place / "noise.zarr")
        stack, pixel_km, bands = open_zarr(place / "stack.zarr"), track.coarse.pixel_m / 1e3, track.bands()
        for event in events:
            field = pattern(event, stack)
            ramp = Ramp.of_times(*(np.datetime64(event[name], "ns") for name in ("t05", "t50", "t95")))
            ratios = [seen(band, track.epochs, ramp, field, pixel_km) for band in bands]
            said = ", ".join(f"{expected:.1f} ({data:.1f})" for expected, data in ratios)
            print(f"| {event['id']} | {event['mw']:.2f} | {place.name} | {1e3 * field.abs().max():.1f} | {said} |")


if __name__ == "__main__":
    main()
