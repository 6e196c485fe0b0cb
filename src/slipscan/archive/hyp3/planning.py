"""From a region's track to the jobs that HyP3 is asked for: bursts found, pairs planned, jobs prepared."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Sequence
from typing import Any

from shapely import MultiPoint, Point, Polygon
from shapely.affinity import translate

from slipscan.archive.asf import catalogue
from slipscan.archive.hyp3.jobs import GUNW, Order
from slipscan.archive.hyp3.pairs import Epoch, burst_set, epochs_of, named_bursts, plan
from slipscan.archive.job import Job
from slipscan.errors import SlipscanError
from slipscan.longitudes import TURN
from slipscan.regions import Region, Track
from slipscan.settings import ArchiveSettings

log = logging.getLogger(__name__)


def planned_orders(job: Job, as_of: str) -> list[tuple[dict[str, str], Order]]:
    """The manifest row and the order of every interferogram up to `as_of`, sorted by date.

    Raises
    ------
    SlipscanError
        no burst of the track, more than 15, no pass over all of them, or what the catalogue refuses
    """
    track, settings = job.track, job.settings
    named = track.hyp3.bursts if track.hyp3 else ()
    bursts = named_bursts(named) if named else ()
    products = catalogue.search(settings, **burst_options(job, as_of, bursts))
    if products and not bursts:
        bursts = burst_set(products)
        log.info("%s: bursts %s (pin them in the track's hyp3.bursts)", job.where, ", ".join(bursts))
        if not set(bursts) <= {str(product.properties["burst"]["fullBurstID"]) for product in products}:
            # Some fill the set up and do not touch the region: the first search has not found them.
            products = catalogue.search(settings, **burst_options(job, as_of, bursts))
    epochs, incomplete = epochs_of(products, bursts)
    for date, missing in incomplete.items():
        log.warning("%s: %s is left out: no %s", job.where, date, ", ".join(missing))
    if len(epochs) < 2:
        raise SlipscanError(
            f"{job.where} has {len(epochs)} passes over all its bursts from {settings.hyp3.start} to {as_of}"
            f" (Sentinel-1 bursts of orbit {track.relative_orbit}, {track.orbit_direction}): correct relative_orbit,"
            " orbit_direction, hyp3.bursts or hyp3.polarization of the track, or move as_of"
        )
    frames = _gunw_frames(job.region, track) if settings.hyp3.product == GUNW else [None]
    return [
        _planned(older, newer, frame, bursts, track, settings)
        for older, newer in plan(epochs, settings.hyp3)
        for frame in frames
    ]


def burst_options(job: Job, as_of: str, bursts: Sequence[str] = ()) -> dict[str, Any]:
    """Options of the burst search: by burst ids where they are known, else what touches the region."""
    track = job.track
    named = list(bursts) or list(track.hyp3.bursts if track.hyp3 else ())
    return {
        "dataset": "SLC-BURST",
        "relativeOrbit": [track.relative_orbit],
        "flightDirection": track.orbit_direction.upper(),
        "polarization": [track.hyp3.polarization if track.hyp3 else "VV"],
        "start": f"{job.settings.hyp3.start}T00:00:00Z",
        "end": f"{as_of}T23:59:59Z",
        **({"fullBurstID": named} if named else {"intersectsWith": _outline(job.region)}),
    }


def _outline(region: Region) -> str:
    """The polygon as WKT, with the reference point where that lies outside."""
    polygon = Polygon(region.polygon)
    if not polygon.covers(Point(region.reference_point)):
        polygon = MultiPoint([*region.polygon, region.reference_point]).convex_hull
    return str(polygon.wkt)


def _gunw_frames(region: Region, track: Track) -> list[int | None]:
    """Numbers of the ARIA frames that touch the region."""
    try:
        frames = importlib.import_module("asf_enumeration.aria_s1_gunw")
    except ImportError as error:
        raise SlipscanError(
            f"archive.hyp3.product {GUNW} needs the frames' numbers: pip install asf-enumeration, or choose"
            " INSAR_ISCE_MULTI_BURST"
        ) from error
    # Frames near 180 degrees are on either side of it, or run on past it.
    copies = [translate(Polygon(region.polygon), turn) for turn in (-TURN, 0.0, TURN)]
    found = {
        frame.id
        for copy in copies
        for frame in frames.get_frames(copy, track.orbit_direction.upper(), track.relative_orbit)
    }
    if not found:
        raise SlipscanError(f"region {region.id} touches no ARIA frame of track {track.id}: correct its relative_orbit")
    return sorted(found)


def _planned(
    older: Epoch, newer: Epoch, frame: int | None, bursts: Sequence[str], track: Track, settings: ArchiveSettings
) -> tuple[dict[str, str], Order]:
    """Row of the manifest and order of one interferogram."""
    import hyp3_sdk

    product, looks = settings.hyp3.product, settings.hyp3.looks
    if frame is not None:  # the newer date is the reference of a GUNW
        job = hyp3_sdk.HyP3.prepare_aria_s1_gunw_job(newer.date, older.date, frame)
    else:
        job = hyp3_sdk.HyP3.prepare_insar_isce_multi_burst_job(
            list(older.granules), list(newer.granules), looks=looks, apply_water_mask=False
        )
    order = Order(job["job_type"], job["job_parameters"])
    return {
        "granule": f"{track.id}_{older.date.replace('-', '')}_{newer.date.replace('-', '')}_{product}_{order.digest}",
        "product_version": product if frame is not None else f"{product} {looks}",
        "reference_date": older.date,
        "secondary_date": newer.date,
        "frame": str(frame) if frame is not None else " ".join(bursts),
    }, order
