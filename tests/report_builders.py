"""A small results directory that follows the contracts: stores, event tables and a regions file."""

import json

import numpy as np
import pandas as pd
import shapely
import xarray as xr
from shapely.geometry import MultiPolygon, box
from shapely.ops import unary_union

from event_builders import event, scan, table
from slipscan import vocabulary
from slipscan.catalogue import stage
from slipscan.events import GNSS_COLUMNS, WITHOUT_GNSS, write_events
from slipscan.fit.background import fit_series
from slipscan.fit.model import design_matrix
from slipscan.geometry import Grid, from_lonlat, los_from_incidence_heading, metric_grid, to_lonlat, write_grid
from slipscan.settings import CatalogueSettings
from slipscan.store import write_zarr

CENTRE = (32.63, 40.87)
HEADINGS = {"087A": -13.0, "094D": -167.0}
ENU = ("east", "north", "up")
KINDS = ("gnss", "predicted")


def small_grid(half_deg=0.1, pixel_m=500.0, centre=CENTRE):
    lon, lat = centre
    return metric_grid([lon - half_deg, lon + half_deg], [lat - half_deg, lat + half_deg], pixel_m)


def epochs(count, start="2018-01-04"):
    return np.datetime64(start, "ns") + np.arange(count) * np.timedelta64(12, "D")


def smooth(generator, shape, scale):
    """Unit-variance field, power law in space."""
    ky, kx = np.fft.fftfreq(shape[0])[:, None], np.fft.fftfreq(shape[1])[None, :]
    k = np.hypot(ky, kx)
    k[0, 0] = np.inf
    field = np.fft.ifft2(np.fft.fft2(generator.standard_normal(shape)) * k ** (-scale / 2)).real
    return field / field.std()


def slip_map(grid, centre, strike_deg, length_m, depth_m, peak_m):
    """Antisymmetric lobes across a strike-slip fault that dies out along strike."""
    x0, y0 = from_lonlat(*map(np.array, centre), grid.crs)
    east, north = np.meshgrid(grid.x - x0, grid.y - y0)
    strike = np.deg2rad(strike_deg)
    along, across = east * np.sin(strike) + north * np.cos(strike), east * np.cos(strike) - north * np.sin(strike)
    u = across / depth_m
    return peak_m * 2 * u / (1 + u**2) * np.exp(-((along / length_m) ** 2) * 2)


def attributes(region, track, time, grid):
    lon, lat = to_lonlat(grid.x[[0, -1, -1, 0]], grid.y[[-1, -1, 0, 0]], grid.crs)
    return {
        "region": region,
        "region_name": "Ismetpasa, North Anatolian Fault",
        "track": track,
        "orbit_direction": "ascending" if track.endswith("A") else "descending",
        "radar_wavelength_m": 0.05546576,
        "region_polygon": shapely.Polygon(zip(lon, lat, strict=True)).wkt,
        "reference_lon": float(lon[0] + 0.02),
        "reference_lat": float(lat[0] + 0.02),
        "inventory_sha256": "0" * 64,
        "data_until": str(time[-1])[:10],
        "slipscan_version": "0.1.0",
        "history": "made up",
    }


def write_track(
    directory,
    region="AAAA",
    track="087A",
    grid=None,
    count=30,
    slips=(),
    seed=1,
    bare=False,
    rate_m_yr=None,
    threshold=5.5,
):
    """Write denoised, noise and transients stores; returns the footprints in longitude and latitude.

    slips: (map in metres, t05, t50, t95) per transient; bare: no LOS, height, coherence.
    """
    grid = grid or small_grid()
    generator = np.random.default_rng(seed)
    time = epochs(count)
    days = (time - time[0]) / np.timedelta64(1, "D")
    heading = HEADINGS[track]
    los = [np.full(grid.shape, float(c)) for c in los_from_incidence_heading(np.array(39.0), np.array(heading))]
    height = 900 + 250 * smooth(generator, grid.shape, 3.5)
    rate = slip_map(grid, CENTRE, 261.5, 4e4, 5e3, 0.006) if rate_m_yr is None else rate_m_yr
    transient = np.zeros((count, *grid.shape))
    histories = []
    for field, t05, _, t95 in slips:
        begin, end = (float((np.datetime64(d, "ns") - time[0]) / np.timedelta64(1, "D")) for d in (t05, t95))
        histories.append(np.clip((days - begin) / max(end - begin, 1), 0, 1))
        transient += histories[-1][:, None, None] * field
    season = 0.002 * np.sin(2 * np.pi * days / 365.25)
    clean = rate * (days / 365.25)[:, None, None] + transient + season[:, None, None]
    strength = 0.006 * np.exp(0.4 * generator.standard_normal(count))
    air = strength[:, None, None] * np.stack([smooth(generator, grid.shape, 8 / 3) for _ in time])
    air += 0.002 * generator.standard_normal(air.shape)
    displacement = np.float32(clean + air)
    displacement[:, smooth(generator, grid.shape, 3) > 1.7] = np.nan
    denoised = np.float32(clean)
    denoised[~np.isfinite(displacement)] = np.nan
    tyx, yx = ("time", "y", "x"), ("y", "x")
    variables = {
        "denoised_std": (tyx, np.full_like(denoised, 0.0012)),
        "rate": (yx, np.float32(np.broadcast_to(rate, grid.shape))),
        "evidence": (yx, np.zeros(grid.shape, "f4")),
    }
    geometry = {} if bare else {name: (yx, np.float32(c)) for name, c in zip(
        ("los_east", "los_north", "los_up", "height"), (*los, height), strict=True)}  # fmt: skip
    if not bare:
        variables["temporal_coherence"] = (yx, np.float32(np.clip(0.85 + 0.1 * smooth(generator, grid.shape, 2), 0, 1)))
    attrs = attributes(region, track, time, grid)
    coords = {"time": time, "reference_time": time[0]}
    # Of the season and of what the transient's ramps add to an offset, only offset and rate are told apart here.
    matrix, names = design_matrix(time)
    fitted = fit_series(matrix, (clean - transient).reshape(count, -1)).reshape(-1, *grid.shape)
    waves = dict(zip(names[1:], fitted[1:].astype("f4"), strict=True))
    variables |= {name: (yx, values) for name, values in waves.items()}
    variables |= {
        "transient": (tyx, np.float32(transient + 0 * denoised)),
        "offset": (("part", *yx), fitted[:1].astype("f4")),
    }
    if not bare:
        geometry["temporal_coherence"] = variables.pop("temporal_coherence")
    seen = {"displacement": (tyx, displacement)}
    _write(directory / "stack.zarr", "stack", seen | geometry, coords, grid, attrs)
    _write(directory / "denoised.zarr", "denoised", variables, coords, grid, attrs | {"weights": "w"})
    geometry.pop("temporal_coherence", None)
    _write_noise(directory / "noise.zarr", air, time, grid, attrs)
    footprints = np.array([np.abs(s[0]) > 0.3 * np.abs(s[0]).max() for s in slips]).reshape(len(slips), *grid.shape)
    _write_transients(
        directory / "transients.zarr", slips, footprints, histories, time, grid, geometry, attrs, threshold
    )
    return [polygon(grid, footprint) for footprint in footprints]


def _write(path, product, variables, coords, grid: Grid, attrs):
    dataset = write_grid(xr.Dataset(variables, coords, attrs), grid)
    dataset = vocabulary.annotate(dataset, product)
    vocabulary.check(dataset, product)
    write_zarr(dataset, path)


def _write_noise(path, air, time, grid, attrs):
    wavenumber = np.geomspace(0.02, 1.0, 18)
    power = 1e-6 * (0.05 * wavenumber ** (-8 / 3) + 1.0)
    variables = {
        "epoch_rms": ("time", air.std(axis=(1, 2))),
        "power_spectrum": ("wavenumber", power),
        "white_std": ((), 0.002),
        "exponent": ((), 2.7),
    }
    coords = {"time": time, "wavenumber": ("wavenumber", wavenumber, {"units": "1/km"})}
    dataset = vocabulary.annotate(xr.Dataset(variables, coords, attrs), "noise")
    write_zarr(dataset, path)


def _write_transients(path, slips, footprints, histories, time, grid, geometry, attrs, threshold):
    n, tyx = len(slips), ("transient", "y", "x")
    maps = np.array([s[0] for s in slips], "f4").reshape(n, *grid.shape)
    variables = {
        "map": (tyx, maps),
        "map_std": (tyx, np.full_like(maps, 0.0012)),
        "footprint": (tyx, footprints.astype("i1")),
        "history": (("transient", "time"), np.array(histories, "f4").reshape(n, len(time))),
        "ongoing": ("transient", np.zeros(n, "i1")),
        "left_censored": ("transient", np.zeros(n, "i1")),
        "statistic": ("transient", np.full(n, 9.0)),
        "p_value": ("transient", np.full(n, 2e-4)),
    }
    dates = {
        name: ("transient", np.array([s[i] for s in slips], "datetime64[ns]"))
        for i, name in enumerate(("t05", "t50", "t95"), 1)
    }
    coords = {"transient": np.arange(n), "time": time, **dates}
    looked = scan(attrs["region"], attrs["track"], attrs["data_until"]) | {"threshold": threshold}
    _write(path, "transients", variables | geometry, coords, grid, attrs | looked)


def polygon(grid, footprint):
    """Outline of pixels in longitude and latitude."""
    dx, dy = grid.spacing
    rows, columns = np.nonzero(footprint)
    squares = [
        box(x - dx / 2, y - dy / 2, x + dx / 2, y + dy / 2) for x, y in zip(grid.x[columns], grid.y[rows], strict=True)
    ]
    merged = unary_union(squares)
    parts = getattr(merged, "geoms", [merged])
    outlines = [np.transpose(to_lonlat(*np.transpose(part.exterior.coords), grid.crs)) for part in parts]
    return MultiPolygon([shapely.Polygon(outline) for outline in outlines])


def gnss_table(event_number=0, tracks=("087A",), stations=5):
    """Rows of gnss.parquet for one event; station k lies k x 3 km north of the fault."""
    rows = []
    for k in range(stations):
        for track in tracks:
            moved = {f"{kind}_{c}_mm": v for kind in KINDS for c, v in zip(ENU, (4.0 - k, 1.0, 0.5), strict=True)}
            rows.append(WITHOUT_GNSS | moved | {f"gnss_{c}_std_mm": 1.2 for c in ENU} | {
                "event": event_number, "station": f"ISM{k + 1}", "track": track,
                "longitude": CENTRE[0] + 0.01 * k, "latitude": CENTRE[1] + 0.027 * (k + 1), "distance_km": 3.0 * k + 3,
                "insar_mm": 5.0 - k, "insar_std_mm": 0.8, "gnss_mm": 4.6 - k, "gnss_std_mm": 1.4,
                "predicted_mm": 4.8 - k, "reference_station": "REFE", "gnss_verdict": "confirmed",
                "gnss_stations": stations, "gnss_log_likelihood_ratio": 6.2,
            })  # fmt: skip
    return pd.DataFrame(rows)


def write_regions(path, regions):
    features = [
        {
            "type": "Feature",
            "geometry": {"type": "Polygon", "coordinates": [list(map(list, polygon.exterior.coords))]},
            "properties": {
                "id": name,
                "name": title,
                "archive": "simulated",
                "reference_point": [polygon.centroid.x, polygon.centroid.y],
                "tectonic_setting": "continental transform",
                "tracks": [
                    {
                        "id": track,
                        "relative_orbit": int(track[:3]),
                        "orbit_direction": "ascending" if track.endswith("A") else "descending",
                    }
                    for track in tracks
                ],
            },
        }
        for name, title, polygon, tracks in regions
    ]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))


def write_region(results, rows, scans, gnss=None, region="AAAA"):
    """Event table, GNSS table and increment of a region."""
    directory = results / region
    directory.mkdir(parents=True, exist_ok=True)
    write_events(directory / "events.parquet", table(*rows), scans)
    if gnss is None:
        gnss = pd.DataFrame(columns=["event", "station", *(c.name for c in GNSS_COLUMNS)])
    gnss.to_parquet(directory / "gnss.parquet")
    stage.write_increment(
        directory / "events.parquet", directory / "gnss.parquet", directory / "increments", directory / "increment.json"
    )


def write_results(root, *, events=2, grid=None, count=30, tracks=("087A", "094D"), bare=False):
    """Write one region, with at most two events, and the catalogue.

    Returns results directory, catalogue and regions file.
    """
    results, grid = root / "results", grid or small_grid()
    times = [("2018-06-01", "2018-06-15", "2018-06-29"), ("2018-09-10", "2018-09-20", "2018-09-30")][:count]
    places = [CENTRE, (CENTRE[0] + 0.04, CENTRE[1] + 0.02)]
    footprints = {}
    for number, track in enumerate(tracks):
        sign = 1 if track.endswith("A") else -1
        slips = [
            (sign * slip_map(grid, place, 261.5, 6e3, 2e3, peak), *when)
            for place, when, peak in zip(places, times, (0.009, 0.006), strict=True)
        ][:events]  # fmt: skip
        footprints[track] = write_track(
            results / "AAAA" / track, track=track, grid=grid, count=count, slips=slips, seed=number, bare=bare
        )
    rows = []
    for k in range(events):
        t05, t50, t95 = times[k]
        rows.append(event(
            tracks=",".join(tracks), t50=t50, t05=t05, t95=t95, lon=places[k][0], lat=places[k][1],
            strike_deg=261.5, dip_deg=85.0, rake_deg=180.0, length_km=9.0, width_km=4.0, slip_mm=22.0,
            mw=4.9 - 0.3 * k, variance_explained=0.86, area_km2=61.0, potency_m3=8e5, calibration_id="cal-1",
            peak_positive_mm=9.0 - 3 * k, peak_negative_mm=-9.0 + 3 * k, false_alarms_per_1e4km2_yr=0.1,
            weights="slipscan-small 1a2b3c4d", slipscan_version="0.1.0", statistic=14.2 - 4 * k,
            geometry=MultiPolygon([p for t in tracks[:1] for p in footprints[t][k].geoms]),
        ))  # fmt: skip
    until = str(epochs(count)[-1])[:10]
    scans = [scan(track=track, until=until, end=until) for track in tracks]
    gnss = gnss_table(0, tracks) if events else None
    write_region(results, rows, scans, gnss)
    stage.write_catalogue(results, results / "catalogue.gpkg", CatalogueSettings())
    lon, lat = to_lonlat(grid.x[[0, -1, -1, 0]], grid.y[[-1, -1, 0, 0]], grid.crs)
    outline = shapely.Polygon(zip(lon, lat, strict=True))
    write_regions(root / "regions.geojson", [("AAAA", "Ismetpasa, North Anatolian Fault", outline, tracks)])
    return results, results / "catalogue.gpkg", root / "regions.geojson"
