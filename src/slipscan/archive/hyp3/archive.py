"""Archive 'hyp3': interferograms made on demand by ASF's HyP3, anywhere on land.

A search plans the pairs and costs nothing. `order` says what they cost in credits, and sends them where it is told to.
What HyP3 has made is fetched like the granules of any archive; it keeps products for two weeks.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import xarray as xr

from slipscan.archive import manifest as manifests
from slipscan.archive.aria.product import read_granule
from slipscan.archive.asf import catalogue
from slipscan.archive.extent import Bounds
from slipscan.archive.granules import RemoteFile
from slipscan.archive.hyp3 import ordering
from slipscan.archive.hyp3.jobs import GONE, GUNW, NEW, State, count
from slipscan.archive.hyp3.ordering import states_of
from slipscan.archive.hyp3.orders import OrderBook
from slipscan.archive.hyp3.planning import burst_options, planned_orders
from slipscan.archive.hyp3.product import read_product
from slipscan.archive.job import Job
from slipscan.archive.remote import RemoteArchive
from slipscan.errors import SlipscanError


class Hyp3(RemoteArchive):
    """Archive 'hyp3'."""

    name = "hyp3"
    crop_version = 2
    heights_from_dem = True  # those of a GUNW

    def search(self, job: Job, as_of: str) -> pd.DataFrame:
        """Plan the interferograms up to `as_of`; nothing is ordered.

        Returns
        -------
        manifest
            columns manifest.COLUMNS, a row per interferogram; the granule's last 20 digits are the job's digest

        Raises
        ------
        SlipscanError
            what `planning.planned_orders` refuses
        """
        return manifests.table(self.name, job.track, (row for row, _ in planned_orders(job, as_of)))

    def query(self, job: Job, as_of: str) -> str:
        """Say what `search` would ask."""
        return (
            f"{catalogue.query_text(job.settings, **burst_options(job, as_of))}\nthe pairs are planned from the answer;"
            f" HyP3 ({job.settings.hyp3_url}) is not asked by a search"
        )

    def order(self, manifest: pd.DataFrame, job: Job, submit: bool = False, again: bool = False) -> str:
        """Say what the interferograms of a manifest cost, and order them: see `ordering.order`."""
        return ordering.order(manifest, job, submit, again, self.in_cache(manifest, job))

    def locate(self, rows: pd.DataFrame, job: Job) -> dict[str, list[RemoteFile]]:
        """Find the products of manifest rows, with URLs as HyP3 tells them now.

        Raises
        ------
        SlipscanError
            some are not ordered, not finished, failed, or their files deleted: how many, and what to run
        """
        states = states_of(OrderBook(job.settings, job.cache_dir), rows)
        lacking = {granule: state for granule, state in states.items() if state.status != "SUCCEEDED"}
        if lacking:
            command = f"slipscan archive order {job.region.id} {job.track.id} MANIFEST --submit"
            kinds = {state.status for state in lacking.values()}
            steps = [f"run `{command}`"] if NEW in kinds else []
            steps += [f"run `{command} --again`"] if kinds & set(GONE) else []
            steps += ["fetch again when HyP3 has made them (an hour to a day)"]
            raise SlipscanError(
                f"{len(lacking)} of {len(rows)} interferograms of {job.where} are not there"
                f" ({count(lacking)}): {', then '.join(steps)}"
            )
        return {granule: _files(granule, state) for granule, state in states.items()}

    def crop(self, row: pd.Series, files: Sequence[Path], job: Job, bounds: Bounds) -> xr.Dataset | None:
        """Read the part of a product within `bounds` (degrees) as product 'granule'; None where it has none.

        Raises
        ------
        SlipscanError
            what `product.read_product` refuses, or `aria.product.read_granule` for a GUNW
        """
        if row["product_version"].startswith(GUNW):
            return read_granule(row, files, job, bounds)
        return read_product(Path(files[0]), row, job.track, bounds)


def _files(granule: str, state: State) -> list[RemoteFile]:
    files = [_remote(entry) for entry in state.files if str(entry["filename"]).endswith((".zip", ".nc"))]
    if not files:
        raise SlipscanError(f"HyP3's job of {granule} has no .zip or .nc file: order it again (--again)")
    return files


def _remote(entry: Any) -> RemoteFile:
    size = entry.get("size")
    return RemoteFile(str(entry["filename"]), str(entry["url"]), None if size is None else int(size))
