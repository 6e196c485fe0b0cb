"""Earthquakes, mapped faults, types and tracks: what an event's posterior is read with."""

import json
import math

import numpy as np
import pytest

from slipscan.earthquakes import moment, moment_magnitude, read_earthquakes
from slipscan.errors import SlipscanError
from slipscan.events import EVENT_TYPES
from slipscan.source.agreement import judged
from slipscan.source.change import cycle_pattern, lattice
from slipscan.source.classify import History, most_likely, type_posterior
from slipscan.source.data import Block, Data
from slipscan.source.explain import likelihood_ratio
from slipscan.source.faults import fault_log_prior, nearest_fault
from slipscan.source.models import FAULT, Area
from slipscan.source.quakes import QuakeFacts, quake_facts

COMCAT = """time,latitude,longitude,depth,mag,magType,place
2019-03-01T12:00:00.000Z,40.80,32.60,8.1,5.6,mww,"here"
2018-06-01T00:00:00.000Z,40.85,32.55,10,5.1,mb,"there"
2019-03-02T00:00:00.000Z,45.00,32.60,10,7.0,mww,"far away"
"""
EPOCHS = [np.datetime64("2018-12-01") + 12 * day for day in range(20)]
HERE = (32.6, 40.8)
POTENCY = 10 ** (1.5 * 5.5 + 9.05) / 30e9
"""Of a magnitude of 5.5."""


@pytest.fixture
def quakes(tmp_path):
    (tmp_path / "query.csv").write_text(COMCAT)
    return read_earthquakes(tmp_path / "query.csv")


def facts(quakes, begin, end, potency=POTENCY):
    times = np.datetime64(begin), np.datetime64(end)
    return quake_facts(quakes, times, EPOCHS, HERE, potency, 50.0)


def test_a_step_that_epochs_bracket_with_its_earthquake_is_coseismic(quakes):
    found = facts(quakes, "2019-03-01", "2019-03-01")
    assert found.bracketed
    assert found.seismic_moment_ratio == pytest.approx(10 ** (1.5 * 0.1), rel=1e-6)
    assert most_likely(type_posterior(SLIP, History(0.0, False), found)) == "coseismic"
    # Ten times the moment of its earthquake: not that earthquake's.
    larger = facts(quakes, "2019-03-01", "2019-03-01", 10 * POTENCY)
    posterior = type_posterior(SLIP, History(0.0, False), larger)
    assert posterior["coseismic"] == 0 and most_likely(posterior) != "coseismic"


def test_a_step_whose_times_are_uncertain_may_be_an_earthquakes(quakes):
    times = np.datetime64("2019-02-20"), np.datetime64("2019-03-10")
    apart = quake_facts(quakes, times, EPOCHS, HERE, POTENCY, 50.0)
    within = quake_facts(quakes, times, EPOCHS, HERE, POTENCY, 50.0, (np.datetime64("2019-03-01"),) * 2)
    assert not apart.bracketed and within.bracketed
    assert within.seismic_moment_ratio == apart.seismic_moment_ratio


@pytest.mark.parametrize(
    ("setting", "kind"),
    [("continental transform", "slow_slip"), ("volcano", "volumetric"), ("Volcano", "volumetric"),
     ("volcano flank", "slow_slip"), ("basin", "hydrological")],
)  # fmt: skip
def test_the_tectonic_setting_decides_what_the_data_leave_open(quakes, setting, kind):
    found = facts(quakes, "2019-01-10", "2019-02-20")
    open_question = {"slip": 30.0, "volumetric": 29.0, "hydrological": 29.0, "cycle": -1000.0}
    clear = open_question | {"slip": 50.0}
    history = History(41.0, False)
    assert most_likely(type_posterior(open_question, history, found, setting=setting)) == kind
    assert most_likely(type_posterior(clear, history, found, setting=setting)) == "slow_slip"


def test_what_was_found_by_the_pattern_of_a_fault_is_not_doubted_twice(quakes):
    found, history = facts(quakes, "2019-01-10", "2019-02-20"), History(41.0, False)
    weak = {"slip": 2.0, "volumetric": -1.0, "hydrological": -2.0, "cycle": -1000.0}
    assert most_likely(type_posterior(weak, history, found)) == "residue"
    on_fault = type_posterior(weak, history, found, on_fault=True)
    assert most_likely(on_fault) == "slow_slip" and sum(on_fault.values()) == pytest.approx(1.0)
    assert most_likely(type_posterior(weak | {"cycle": 40.0}, history, found, on_fault=True)) == "residue"


def test_what_begins_before_an_earthquake_is_never_excluded(quakes):
    found = facts(quakes, "2019-01-10", "2019-02-20")
    assert found.days_to_next_m5 == pytest.approx(50.5)
    assert found.days_from_last_m5 == pytest.approx(223.0)
    assert found.seismic_moment_ratio == pytest.approx(0.0) and not found.bracketed
    assert most_likely(type_posterior(SLIP, History(41.0, False), found)) == "slow_slip"


def test_slip_that_follows_an_earthquake_is_afterslip(quakes):
    found = facts(quakes, "2019-03-05", "2019-06-20")
    assert found.days_from_last_m5 == pytest.approx(3.5)
    assert most_likely(type_posterior(SLIP, History(107.0, False), found)) == "afterslip"


def test_without_a_list_nothing_is_said_of_earthquakes():
    found = facts(None, "2019-03-05", "2019-06-20")
    assert math.isnan(found.days_to_next_m5) and not found.listed
    assert type_posterior(SLIP, History(0.0, False), found)["coseismic"] == 0


SLIP = {"slip": 60.0, "volumetric": 10.0, "hydrological": 5.0, "cycle": -1000.0}


def test_types_follow_the_evidence_and_sum_to_one():
    for evidence, history, expected in (
        (SLIP, History(40.0, False), "slow_slip"),
        (SLIP, History(300.0, True), "creep_rate_change"),
        (SLIP | {"volumetric": 90.0}, History(40.0, False), "volumetric"),
        (SLIP | {"hydrological": 95.0}, History(200.0, False), "hydrological"),
        (SLIP | {"slip": 1.0, "volumetric": 1.0, "hydrological": 0.0}, History(40.0, False), "residue"),
        (SLIP | {"cycle": 150.0}, History(40.0, False), "residue"),
    ):
        posterior = type_posterior(evidence, history, QuakeFacts())
        assert set(posterior) == set(EVENT_TYPES)
        assert sum(posterior.values()) == pytest.approx(1.0)
        assert most_likely(posterior) == expected


def test_moments_and_magnitudes_agree():
    assert moment_magnitude(moment(6.0) / 30e9) == pytest.approx(6.0)


def geojson(path, *lines, **properties):
    features = [
        {"type": "Feature", "properties": properties, "geometry": {"type": "LineString", "coordinates": line}}
        for line in lines
    ]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return path


def test_the_nearest_mapped_fault_draws_sources_to_it(tmp_path):
    path = geojson(
        tmp_path / "faults.geojson", [[32.0, 40.85], [33.2, 40.85]], [[32.0, 41.5], [33.2, 41.6]], name="Main"
    )
    fault = nearest_fault(path, HERE, 15.0)
    assert fault.name == "Main"
    strike, east, north = fault.nearest
    assert strike == pytest.approx(90.0, abs=0.5)
    assert (east, north) == (pytest.approx(0.0, abs=300), pytest.approx(5.55e3, abs=300))  # a chord of its parallel
    assert nearest_fault(path, (32.6, 42.5), 15.0) is None
    import torch

    z = torch.randn(4000, 10, generator=torch.Generator().manual_seed(0))
    shape = FAULT.shape(z, Area(0.0, 0.0, 1e4))
    weight = torch.softmax(fault_log_prior(shape, fault).double(), 0).numpy()
    off = np.abs((shape["strike"].numpy() - 90.0 + 90.0) % 180.0 - 90.0)
    # Seven in ten lie on the map's fault; of the others the strike is anyone's.
    assert weight[off < 30].sum() == pytest.approx(0.7 + 0.3 / 3, abs=0.1)


def test_faults_that_are_no_lines_are_refused(tmp_path):
    (tmp_path / "bad.geojson").write_text("{}")
    with pytest.raises(SlipscanError, match="no GeoJSON of mapped faults"):
        nearest_fault(tmp_path / "bad.geojson", HERE, 15.0)


def block(value, std=1e-3):
    count = len(value)
    place = np.arange(count) * 1e3
    return Block(place, place, np.tile([0.0, 0.0, 1.0], (count, 1)), value, std**2 * np.eye(count))


def test_a_track_is_judged_by_what_the_source_predicts_there():
    predicted = np.array([5e-3, -3e-3, 4e-3, 0.0])
    noise = 1e-4 * np.array([1, -2, 1, 3])
    assert judged(block(predicted + noise), predicted) == "confirmed"
    assert judged(block(noise), predicted) == "contradicted"
    assert judged(block(noise), 0.1 * predicted) == "insensitive"  # blind there: no verdict on the event


def test_a_patch_of_a_whole_cycle_is_known():
    truth = np.zeros((20, 20))
    truth[6:12, 7:13] = 0.0277
    value = truth + 1e-3 * np.random.default_rng(0).standard_normal(truth.shape)
    pattern = cycle_pattern(value, np.isfinite(value), truth > 0)
    np.testing.assert_array_equal(pattern != 0, truth > 0)
    flat = block(value.ravel())
    told = Data([Block(flat.east, flat.north, flat.direction, flat.value, flat.covariance, cycle=pattern.ravel())])
    assert likelihood_ratio(told, told.cycle_energy()) > 100
    assert likelihood_ratio(Data([flat]), Data([flat]).cycle_energy()) == -1000


def test_points_lie_on_the_finest_lattice_that_is_allowed():
    mask = np.ones((30, 30), bool)
    assert lattice(mask, 900).sum() == 900
    assert 60 <= lattice(mask, 100).sum() <= 100
