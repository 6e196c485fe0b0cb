"""A frame of COMET's LiCSAR products of the true scene, and the index pages they are served from.

As delivered: unwrapped phase `*.geo.unw.tif` in radians, older date first, positive AWAY from the satellite, 0 = no
data; coherence `*.geo.cc.tif` 0-255; unit vectors ground to satellite `*.geo.{E,N,U}.tif`; EPSG:4326, 0.001 degrees.

GACOS: `epochs/DATE/DATE.sltd.geo.tif` is the slant total DELAY of that date in RADIANS of two-way phase (zenith delay
in metres x 4 pi / wavelength / U), positive, larger for a longer path. A longer path looks like motion AWAY, as does
a positive phase, so the corrected interferogram is unw - (sltd[newer] - sltd[older]). NaN is declared as no data, and 0
means no data too. Source: LiCSAR_ztd2geotiff.py (`make_geotiff`, `m2r_coef`) and LiCSBAS03op_GACOS.py ("Already in
rad", `unw_cor = unw-dsltd`), both by Y. Morishita.
"""

from __future__ import annotations

import datetime
import html
import math
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np

from slipscan.atomic import write_text
from slipscan.geometry import Array, Grid
from slipscan.outputs import OWN
from slipscan_loopback.geotiff import draws, padded, write_geotiff
from slipscan_loopback.http import LoopbackServer, Request, Response
from slipscan_loopback.scene import TrueScene

Pair = tuple[datetime.date, datetime.date]

ZENITH_DELAY_M = 2.3
"""Of the dry air at sea level; it falls off with height in SCALE_HEIGHT_M and cancels out between dates."""

SCALE_HEIGHT_M = 8000.0
CREATION: dict[str, Any] = {"compress": "deflate", "predictor": 3}
POINT = {"AREA_OR_POINT": "Point"}


def frame_id(scene: TrueScene, number: int = 4900) -> str:
    """A frame's id: track, direction, a running number, the bursts in the three swaths."""
    return f"{scene.relative_orbit:03d}{scene.orbit_direction[0].upper()}_{number:05d}_131313"


def write_frame(
    scene: TrueScene,
    directory: Path,
    frame: str,
    posting_deg: float = 0.001,
    neighbours: int = 3,
    rows: tuple[float, float] = (0.0, 1.0),
    gacos: bool = True,
    without_gacos: Collection[datetime.date] = (),
    without_unwrapped: Collection[Pair] = (),
) -> Path:
    """Write the products of a frame.

    Parameters
    ----------
    directory
        what is served as LiCSAR_products
    neighbours
        interferograms from a date to so many later ones
    rows
        the part of the scene that the frame covers, from south (0) to north (1)
    gacos, without_gacos
        whether there are GACOS delays, and dates that lack them
    without_unwrapped
        pairs that have a coherence but no unwrapped phase (yet), as is common there

    Returns
    -------
    path
        directory/TRACK/FRAME with interferograms, metadata, epochs; TRACK without leading zeros
    """
    path = directory / str(int(frame[:3])) / frame
    grid = _frame_grid(scene, posting_deg, rows)
    _write_metadata(scene, path / "metadata", frame, grid)
    for older, newer in scene.pairs(neighbours):
        _write_pair(scene, path, frame, grid, (older, newer), (older, newer) not in without_unwrapped)
    lon, lat = grid.lonlat()
    for date in scene.dates:
        epoch = path / "epochs" / f"{date:%Y%m%d}"
        epoch.mkdir(parents=True, exist_ok=True)
        if gacos and date not in without_gacos:
            delay = slant_delay(scene, lon, lat, date).astype(np.float32)
            write_geotiff(epoch / f"{epoch.name}.sltd.geo.tif", delay, grid, math.nan, POINT, **CREATION)
    return path


def _frame_grid(scene: TrueScene, posting_deg: float, rows: tuple[float, float]) -> Grid:
    """Cells of a frame, centres on multiples of the posting; two cells more than the scene on every outer side."""
    whole = padded(scene.geographic_grid(posting_deg, origin="centre"), 2, 2, 2, 2)
    count = len(whole.y)
    return Grid(whole.x, whole.y[round((1 - rows[1]) * count) : round((1 - rows[0]) * count)], whole.crs)


def slant_delay(scene: TrueScene, lon: Array, lat: Array, date: datetime.date) -> Array:
    """What GACOS knows of a date: rad, positive, larger for a longer path."""
    up = scene.los(lon, lat)[2]
    dry = ZENITH_DELAY_M * np.exp(-scene.height(lon, lat) / SCALE_HEIGHT_M) / up
    return 4 * np.pi / scene.wavelength_m * (dry - scene.delay(lon, lat, date))


def _write_pair(scene: TrueScene, path: Path, frame: str, grid: Grid, pair: Pair, unwrapped: bool) -> None:
    older, newer = pair
    lon, lat = grid.lonlat()
    name = f"{older:%Y%m%d}_{newer:%Y%m%d}"
    stem = path / "interferograms" / name / f"{name}.geo"
    coherence = np.rint(255 * scene.coherence(lon, lat, older, newer)).astype(np.uint8)
    write_geotiff(stem.with_name(f"{stem.name}.cc.tif"), coherence, grid, 0, POINT, compress="deflate")
    if unwrapped:
        toward = scene.interferogram(lon, lat, older, newer)
        phase = -4 * np.pi / scene.wavelength_m * toward + _constant(frame, pair)
        phase = np.where(scene.incoherent(lon, lat), 0, phase).astype(np.float32)
        write_geotiff(stem.with_name(f"{stem.name}.unw.tif"), phase, grid, 0, POINT, **CREATION)


def _constant(frame: str, pair: Pair) -> float:
    """The phase that unwrapping leaves undetermined in a frame, rad: -25 to 25, never near 0."""
    size, sign = draws(frame, *pair, count=2)
    return (10 + 15 * size / 255) * (-1 if sign % 2 else 1)


def _write_metadata(scene: TrueScene, directory: Path, frame: str, grid: Grid) -> None:
    lon, lat = grid.lonlat()
    layers = dict(zip("ENU", scene.los(lon, lat), strict=True)) | {"hgt": scene.height(lon, lat)}
    for name, values in layers.items():
        write_geotiff(directory / f"{frame}.geo.{name}.tif", values.astype(np.float32), grid, 0, POINT, **CREATION)
    first = scene.dates[0]
    lines = [
        f"{first:%Y%m%d} {date:%Y%m%d} {scene.perpendicular_baseline(date):.1f} {float((date - first).days)}\n"
        for date in scene.dates
    ]
    write_text(directory / "baselines", "".join(lines), OWN)
    entries = {
        "master": f"{first:%Y%m%d}",
        "center_time": f"{scene.pass_time:%H:%M:%S.%f}",
        "heading": f"{float(np.mean(scene.heading(lon, lat))):.6f}",
        "avg_incidence_angle": f"{float(np.mean(scene.incidence(lon, lat))):.4f}",
        "azimuth_resolution": "14.0",
        "range_resolution": "3.1",
        "centre_range_m": "850000.0",
        "avg_height": f"{float(np.mean(scene.height(lon, lat))):.2f}",
        "applied_DEM": "Copernicus_DEM_30m",
    }
    write_text(directory / "metadata.txt", "".join(f"{key}={value}\n" for key, value in entries.items()), OWN)


# Pages --------------------------------------------------------------------------------------------------------------


def register(server: LoopbackServer, directory: Path, prefix: str = "/LiCSAR_products") -> None:
    """Serve a directory below `prefix`: its files, subject to the server's faults, and index pages as Apache's."""
    directory = directory.resolve()

    def answer(request: Request) -> Response:
        path = (directory / request.match["path"]).resolve()
        if not path.is_relative_to(directory) or not path.exists():
            return _page(404, "404 Not Found", "<p>The requested URL was not found on this server.</p>")
        if path.is_file():
            return Response(body=path, content_type="image/tiff" if path.suffix == ".tif" else "text/plain")
        if not request.path.endswith("/"):
            return Response(301, headers={"Location": f"http://{request.headers['Host']}{request.path}/"})
        return _index(path, request.path, top=path == directory)

    server.route(rf"{prefix}/(?P<path>(?:.*/)?(?:[^/]+\.[a-z]+|baselines))", answer, faulty=True)
    server.route(rf"{prefix}/?(?P<path>.*)", answer)


def _index(directory: Path, url_path: str, top: bool) -> Response:
    """The listing of a directory as mod_autoindex writes it: HTML table, links that sort, link to the parent."""
    head = "".join(
        f'<th><a href="?C={key};O={"D" if key == "N" else "A"}">{title}</a></th>'
        for key, title in (("N", "Name"), ("M", "Last modified"), ("S", "Size"), ("D", "Description"))
    )
    rows = [f'<tr><th valign="top"><img src="/icons/blank.gif" alt="[ICO]"></th>{head}</tr>', _RULE]
    if not top:
        parent = url_path.rstrip("/").rpartition("/")[0]
        rows.append(_row("back", "PARENTDIR", f"{parent}/", "Parent Directory", "&nbsp;", "  - "))
    for path in sorted(directory.iterdir()):
        if path.name.startswith("."):
            continue
        modified = datetime.datetime.fromtimestamp(path.stat().st_mtime, datetime.UTC).strftime("%Y-%m-%d %H:%M  ")
        if path.is_dir():
            rows.append(_row("folder", "DIR", f"{path.name}/", f"{path.name}/", modified, "  - "))
        else:
            rows.append(_row("unknown", "   ", path.name, path.name, modified, _size(path.stat().st_size)))
    title = f"Index of {html.escape(url_path.rstrip('/'))}"
    table = "\n".join(rows)
    return _page(200, title, f"<table>\n{table}\n{_RULE}\n</table>")


_RULE = '<tr><th colspan="5"><hr></th></tr>'


def _row(icon: str, kind: str, link: str, text: str, modified: str, size: str) -> str:
    shown = text if len(text) <= 23 else f"{text[:20]}..>"  # Apache cuts names off; the link has it all
    return (
        f'<tr><td valign="top"><img src="/icons/{icon}.gif" alt="[{kind}]"></td>'
        f'<td><a href="{html.escape(link)}">{html.escape(shown)}</a></td>'
        f'<td align="right">{modified}</td><td align="right">{size}</td><td>&nbsp;</td></tr>'
    )


def _size(count: int) -> str:
    """Bytes as Apache shows them: 999 , 1.4K, 15K, 2.3M."""
    size, unit = float(count), " "
    for larger in "KMG":
        if size < 1000:
            break
        size, unit = size / 1024, larger
    return f"{size:.1f}{unit}" if unit != " " and size < 9.95 else f"{round(size)}{unit}"


def _page(status: int, title: str, content: str) -> Response:
    body = (
        '<!DOCTYPE HTML PUBLIC "-//W3C//DTD HTML 3.2 Final//EN">\n'
        f"<html>\n <head>\n  <title>{title}</title>\n </head>\n <body>\n<h1>{title}</h1>\n{content}\n</body></html>\n"
    )
    return Response(status, body.encode(), "text/html;charset=ISO-8859-1", ranges=False)
