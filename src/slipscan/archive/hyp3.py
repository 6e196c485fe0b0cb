"""Archive 'hyp3': interferograms made on demand by ASF's HyP3, anywhere on land.

A search plans the pairs and costs nothing. `order` says what they cost in credits, and sends them where it is told to.
What HyP3 has made is fetched like the granules of any archive; it keeps products for two weeks.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import xarray as xr
from shapely import MultiPoint, Point, Polygon

from slipscan.archive import asf
from slipscan.archive.extent import Bounds
from slipscan.archive.granules import RemoteFile
from slipscan.archive.manifest import COLUMNS
from slipscan.archive.on_demand.jobs import GONE, NAME, NEW, Order, State, count
from slipscan.archive.on_demand.orders import OrderBook
from slipscan.archive.on_demand.pairs import Epoch, burst_set, epochs_of, named_bursts, plan
from slipscan.archive.on_demand.product import read_product
from slipscan.errors import SlipscanError
from slipscan.regions import Region, Track
from slipscan.settings import ArchiveSettings

log = logging.getLogger(__name__)

STAGE_VERSION = 2
GUNW = "ARIA_S1_GUNW"


def search(region: Region, track: Track, settings: ArchiveSettings, as_of: str) -> pd.DataFrame:
    """Plan the interferograms up to `as_of`; nothing is ordered.

    Returns
    -------
    manifest
        columns manifest.COLUMNS, a row per interferogram; the granule's last 20 digits are the job's digest

    Raises
    ------
    SlipscanError
        no burst of the track, more than 15, no pass over all of them, or what the catalogue refuses
    """
    planned = _plan(region, track, settings, as_of)
    common = {"archive": "hyp3", "relative_orbit": str(track.relative_orbit)}
    unknown = {"expected_bytes": "", "expected_checksum": ""}
    return pd.DataFrame([{**row, **common, **unknown} for row, _ in planned], columns=list(COLUMNS))


def query(region: Region, track: Track, settings: ArchiveSettings, as_of: str) -> str:
    """Say what `search` would ask."""
    text = asf.query_text(settings, **_options(region, track, settings, as_of))
    return f"{text}\nthe pairs are planned from the answer; HyP3 ({settings.hyp3_url}) is not asked by a search"


def _plan(region: Region, track: Track, settings: ArchiveSettings, as_of: str) -> list[tuple[dict[str, str], Order]]:
    """The manifest row and the order of every interferogram, sorted by date."""
    named = track.hyp3.bursts if track.hyp3 else ()
    bursts = named_bursts(named) if named else ()
    products = asf.search(settings, **_options(region, track, settings, as_of, bursts))
    where = f"region {region.id} track {track.id}"
    if products and not bursts:
        bursts = burst_set(products)
        log.info("%s: bursts %s (pin them in the track's hyp3.bursts)", where, ", ".join(bursts))
        if not set(bursts) <= {str(product.properties["burst"]["fullBurstID"]) for product in products}:
            # Some fill the set up and do not touch the region: the first search has not found them.
            products = asf.search(settings, **_options(region, track, settings, as_of, bursts))
    epochs, incomplete = epochs_of(products, bursts)
    for date, missing in incomplete.items():
        log.warning("%s: %s is left out: no %s", where, date, ", ".join(missing))
    if len(epochs) < 2:
        raise SlipscanError(
            f"{where} has {len(epochs)} passes over all its bursts from {settings.hyp3.start} to {as_of} (Sentinel-1"
            f" bursts of orbit {track.relative_orbit}, {track.orbit_direction}): correct relative_orbit,"
            " orbit_direction, hyp3.bursts or hyp3.polarization of the track, or move as_of"
        )
    frames = _gunw_frames(region, track) if settings.hyp3.product == GUNW else [None]
    return [
        _planned(older, newer, frame, bursts, track, settings)
        for older, newer in plan(epochs, settings.hyp3)
        for frame in frames
    ]


def _options(
    region: Region, track: Track, settings: ArchiveSettings, as_of: str, bursts: Sequence[str] = ()
) -> dict[str, Any]:
    """Options of the burst search: by burst ids where they are known, else what touches the region."""
    named = list(bursts) or list(track.hyp3.bursts if track.hyp3 else ())
    return {
        "dataset": "SLC-BURST",
        "relativeOrbit": [track.relative_orbit],
        "flightDirection": track.orbit_direction.upper(),
        "polarization": [track.hyp3.polarization if track.hyp3 else "VV"],
        "start": f"{settings.hyp3.start}T00:00:00Z",
        "end": f"{as_of}T23:59:59Z",
        **({"fullBurstID": named} if named else {"intersectsWith": _outline(region)}),
    }


def _outline(region: Region) -> str:
    """The polygon as WKT, with the reference point where that lies outside."""
    polygon = Polygon(region.polygon)
    if not polygon.covers(Point(region.reference_point)):
        polygon = MultiPoint([*region.polygon, region.reference_point]).convex_hull
    return str(polygon.wkt)


def _gunw_frames(region: Region, track: Track) -> list[int | None]:
    """Numbers of the ARIA frames that touch the region."""
    import importlib

    try:
        frames = importlib.import_module("asf_enumeration.aria_s1_gunw")
    except ImportError as error:
        raise SlipscanError(
            f"archive.hyp3.product {GUNW} needs the frames' numbers: pip install asf-enumeration, or choose"
            " INSAR_ISCE_MULTI_BURST"
        ) from error
    found = frames.get_frames(Polygon(region.polygon), track.orbit_direction.upper(), track.relative_orbit)
    if not found:
        raise SlipscanError(f"region {region.id} touches no ARIA frame of track {track.id}: correct its relative_orbit")
    return sorted(frame.id for frame in found)


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


def order(
    region: Region,
    track: Track,
    settings: ArchiveSettings,
    manifest: pd.DataFrame,
    cache_dir: Path,
    submit: bool = False,
    again: bool = False,
    fetched: Collection[str] = (),
) -> str:
    """Say what the interferograms of a manifest cost, and order them where `submit` is set.

    Parameters
    ----------
    manifest
        of `search`
    cache_dir
        where ids of jobs are kept
    submit
        spend the credits; pairs that HyP3 has a job of are not ordered again
    again
        order those that failed, or whose files HyP3 has deleted, once more
    fetched
        granules whose crop is in the cache already: they need no order

    Returns
    -------
    text
        a line per pair to order with its credits, the total, the credits that are left, the states of all pairs

    Raises
    ------
    SlipscanError
        pairs that the archive's answer does not give any more, too few credits, or what HyP3 refuses
    """
    planned = {row["granule"]: made for row, made in _plan(region, track, settings, manifest["secondary_date"].max())}
    rows = manifest[~manifest["granule"].isin(list(fetched))]
    book = OrderBook(settings, cache_dir)
    states = _states(book, rows)
    wanted = {granule: state.status == NEW or (again and state.status in GONE) for granule, state in states.items()}
    rows_wanted = rows[rows["granule"].map(wanted).astype(bool)]
    _refuse_unplanned(rows_wanted["granule"], planned, region, track)
    orders = [planned[granule] for granule in rows_wanted["granule"]]
    prices, left = [book.price(order) for order in orders], book.credits_left()
    lines = _price_table(rows_wanted, prices, left) + ([] if again else _failures(states, rows))
    if submit and orders:
        if left is not None and sum(prices) > left:
            raise SlipscanError(
                f"{len(orders)} interferograms of region {region.id} track {track.id} cost {sum(prices):g} credits and"
                f" {left:g} are left this month: nothing was ordered; begin later (archive.hyp3.start), plan fewer"
                " (archive.hyp3.neighbours, annual), or wait"
            )
        lines.append(f"{book.submit(orders, again)} ordered")
        states = _states(book, rows)
    elif orders:
        lines.append("nothing was ordered: add --submit to spend the credits")
    lines.append(f"of {len(manifest)} interferograms: {len(manifest) - len(rows)} fetched; at HyP3: {count(states)}")
    return "\n".join(lines)


def _price_table(rows: pd.DataFrame, prices: Sequence[float], left: float | None) -> list[str]:
    """A line per pair, the total, and the credits that are left."""
    lines = ["reference   secondary    credits"] if prices else []
    for (_, row), price in zip(rows.iterrows(), prices, strict=True):
        lines.append(f"{row['reference_date']}  {row['secondary_date']}  {price:8g}")
    has = "no limit of credits" if left is None else f"{left:g} credits left"
    return [*lines, f"{len(prices)} to order: {sum(prices):g} credits; {has}"]


def _refuse_unplanned(wanted: Iterable[str], planned: dict[str, Order], region: Region, track: Track) -> None:
    unplanned = [granule for granule in wanted if granule not in planned]
    if unplanned:
        raise SlipscanError(
            f"{len(unplanned)} interferograms of the manifest (first {unplanned[0]}) are not in the plan of region"
            f" {region.id} track {track.id} any more (archive.hyp3 or the track's bursts were changed, or bursts"
            " reprocessed): make the manifest again"
        )


def _failures(states: dict[str, State], rows: pd.DataFrame) -> list[str]:
    """A line per order that came to nothing."""
    out = []
    for _, row in rows.iterrows():
        state = states[row["granule"]]
        if state.status in GONE:
            note = f", log {state.logs[0]}" if state.logs else ""
            what = f"{state.status.lower()} (sent {state.attempts} x{note})"
            out.append(f"{row['reference_date']}  {row['secondary_date']}  {what}: add --again to order it once more")
    return out


def _states(book: OrderBook, rows: pd.DataFrame) -> dict[str, State]:
    """The states of a manifest's orders, by granule."""
    found: dict[str, State] = {}
    for product, group in rows.groupby(rows["product_version"].str.split().str[0]):
        names = {granule: NAME + granule.rsplit("_", 1)[-1] for granule in group["granule"]}
        states = book.collect(list(names.values()), str(product))
        found |= {granule: states[name] for granule, name in names.items()}
    return found


def locate(
    rows: pd.DataFrame, region: Region, track: Track, settings: ArchiveSettings, cache_dir: Path
) -> dict[str, list[RemoteFile]]:
    """Find the products of manifest rows, with URLs as HyP3 tells them now.

    Raises
    ------
    SlipscanError
        some are not ordered, not finished, failed, or their files deleted: how many, and what to run
    """
    states = _states(OrderBook(settings, cache_dir), rows)
    lacking = {granule: state for granule, state in states.items() if state.status != "SUCCEEDED"}
    if lacking:
        command = f"slipscan archive order {region.id} {track.id} MANIFEST --submit"
        kinds = {state.status for state in lacking.values()}
        steps = [f"run `{command}`"] if NEW in kinds else []
        steps += [f"run `{command} --again`"] if kinds & set(GONE) else []
        steps += ["fetch again when HyP3 has made them (an hour to a day)"]
        raise SlipscanError(
            f"{len(lacking)} of {len(rows)} interferograms of region {region.id} track {track.id} are not there"
            f" ({count(lacking)}): {', then '.join(steps)}"
        )
    return {granule: _files(granule, state) for granule, state in states.items()}


def _files(granule: str, state: State) -> list[RemoteFile]:
    files = [_remote(entry) for entry in state.files if str(entry["filename"]).endswith((".zip", ".nc"))]
    if not files:
        raise SlipscanError(f"HyP3's job of {granule} has no .zip or .nc file: order it again (--again)")
    return files


def _remote(entry: Any) -> RemoteFile:
    size = entry.get("size")
    return RemoteFile(str(entry["filename"]), str(entry["url"]), None if size is None else int(size))


def crop(
    row: pd.Series, files: Sequence[Path], region: Region, track: Track, bounds: Bounds, dem: Path | None = None
) -> xr.Dataset | None:
    """Read the part of a product within `bounds` (degrees) as product 'granule'; None where it has none.

    Raises
    ------
    SlipscanError
        what `on_demand.product.read_product` refuses, or `aria.crop` for a GUNW
    """
    if row["product_version"].startswith(GUNW):
        from slipscan.archive import aria

        return aria.crop(row, files, region, track, bounds, dem)
    return read_product(Path(files[0]), row, track, bounds)
