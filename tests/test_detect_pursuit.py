"""What a track holds, one transient after the other, by one search or several."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from detecting import FAST
from slipscan.detect.faults.band import FaultBand, Footprint
from slipscan.detect.faults.scan import FaultScanner
from slipscan.detect.pursuit import FIRM, pursued
from slipscan.detect.ramp import Epochs
from slipscan.detect.transient import Transient
from temporal_builders import dates

EPOCHS = Epochs(dates(120))


def search_of(*steps: tuple[int, float], place: int = 0) -> FaultScanner:
    """A search of one source, whose series without noise (its unit) has steps at some epochs; steps alone are tried."""
    values = torch.zeros(len(EPOCHS), 1)
    for epoch, size in steps:
        values[epoch:] += size
    ground = Footprint(slice(place, place + 1), slice(0, 1), np.ones((1, 1), bool))
    band = FaultBand(
        values=values, weight=torch.ones(len(EPOCHS)), std=torch.ones(1), gappy=torch.zeros(0, dtype=torch.long),
        valid=torch.zeros(len(EPOCHS), 0), shape=(1, 1), level=0, place_km2=1.0, cell_km2=1.0, footprints=(ground,),
        near=torch.ones(1, 1).to_sparse(),
    )  # fmt: skip
    return FaultScanner([band], EPOCHS, (99, 1), 1.0, FAST.model_copy(update={"durations_d": (0.0,)}))


def intervals(found: list[Transient]) -> list[int]:
    """Numbers of the epochs that follow the steps."""
    return [int(EPOCHS.days.searchsorted(one.ramp.middle_d)) for one in found]


def test_what_stands_only_beside_one_that_barely_does_is_left_out() -> None:
    search = search_of((50, 1.5), (62, -1.4))
    first, second = search.find(2.4)
    assert intervals([second]) == [62] and second.statistic < first.statistic == pytest.approx(2.88, abs=0.01)
    # At a floor that the first does not clear by `FIRM` it does not vouch for the second, which is above it as well.
    floor = 1.001 * first.statistic / FIRM
    assert floor < second.statistic and [one.statistic for one in search.find(floor)] == [first.statistic]


def test_of_two_searches_the_one_goes_first_that_stands_out_most_from_its_own_floor() -> None:
    strong, weak = search_of((30, 5.0)), search_of((80, 3.0), place=60)
    (one,), (other,) = strong.find(0.0, at_most=1), weak.find(0.0, at_most=1)
    assert one.statistic > other.statistic
    floors = 0.9 * one.statistic, 0.5 * other.statistic
    found = pursued([(strong, floors[0]), (weak, floors[1])])
    assert intervals(found) == [80, 30]
    assert intervals(pursued([(strong, floors[0]), (weak, 1.1 * other.statistic)])) == [30]


def test_what_one_search_found_the_other_does_not_find_again() -> None:
    same = [search_of((40, 4.0)), search_of((40, 4.0), place=10)]
    assert len(pursued([(search, 4.0) for search in same])) == 1
    # Farther away than the joining distance it is another transient.
    assert len(pursued([(same[0], 4.0), (search_of((40, 4.0), place=90), 4.0)])) == 2
