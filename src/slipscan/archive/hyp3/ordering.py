"""What the interferograms of a manifest cost and have become, in lines of text; ordered where it is told to."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

import pandas as pd

from slipscan.archive.hyp3.jobs import GONE, NAME, NEW, Order, State, count
from slipscan.archive.hyp3.orders import OrderBook
from slipscan.archive.hyp3.planning import planned_orders
from slipscan.archive.job import Job
from slipscan.errors import SlipscanError


def order(
    manifest: pd.DataFrame, job: Job, submit: bool = False, again: bool = False, fetched: Collection[str] = ()
) -> str:
    """Say what the interferograms of a manifest cost, and order them where `submit` is set.

    Parameters
    ----------
    manifest
        of `Hyp3.search`
    job
        its cache is where ids of jobs at HyP3 are kept
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
    planned = {row["granule"]: made for row, made in planned_orders(job, manifest["secondary_date"].max())}
    rows = manifest[~manifest["granule"].isin(list(fetched))]
    book = OrderBook(job.settings, job.cache_dir)
    states = states_of(book, rows)
    wanted = {granule: state.status == NEW or (again and state.status in GONE) for granule, state in states.items()}
    rows_wanted = rows[rows["granule"].map(wanted).astype(bool)]
    _refuse_unplanned(rows_wanted["granule"], planned, job)
    orders = [planned[granule] for granule in rows_wanted["granule"]]
    prices, left = [book.price(order) for order in orders], book.credits_left()
    lines = _price_table(rows_wanted, prices, left) + ([] if again else _failures(states, rows))
    if submit and orders:
        if left is not None and sum(prices) > left:
            raise SlipscanError(
                f"{len(orders)} interferograms of {job.where} cost {sum(prices):g} credits and"
                f" {left:g} are left this month: nothing was ordered; begin later (archive.hyp3.start), plan fewer"
                " (archive.hyp3.neighbours, annual), or wait"
            )
        lines.append(f"{book.submit(orders, again)} ordered")
        states = states_of(book, rows)
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


def _refuse_unplanned(wanted: Iterable[str], planned: dict[str, Order], job: Job) -> None:
    unplanned = [granule for granule in wanted if granule not in planned]
    if unplanned:
        raise SlipscanError(
            f"{len(unplanned)} interferograms of the manifest (first {unplanned[0]}) are not in the plan of"
            f" {job.where} any more (archive.hyp3 or the track's bursts were changed, or bursts"
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


def states_of(book: OrderBook, rows: pd.DataFrame) -> dict[str, State]:
    """The states of a manifest's orders, by granule."""
    found: dict[str, State] = {}
    for product, group in rows.groupby(rows["product_version"].str.split().str[0]):
        names = {granule: NAME + granule.rsplit("_", 1)[-1] for granule in group["granule"]}
        states = book.collect(list(names.values()), str(product))
        found |= {granule: states[name] for granule, name in names.items()}
    return found
