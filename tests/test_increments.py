"""Increments: one scan each, immutable, whole whatever becomes of their writer."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from shapely.geometry import Polygon

from event_builders import event, scan, table
from increment_builders import NO_GNSS, write_source
from slipscan.catalogue import increment, stage
from slipscan.catalogue.append import append, with_verdicts
from slipscan.errors import SlipscanError
from slipscan.events import WITHOUT_GNSS, write_events
from slipscan.outputs import sha256_file
from waiting import wait_until


def test_an_increment_carries_each_events_own_verdict(tmp_path):
    verdict = {"event": 1, "gnss_verdict": "confirmed", "gnss_stations": 2, "gnss_log_likelihood_ratio": 7.5}
    gnss = pd.DataFrame([WITHOUT_GNSS | verdict | {"station": name, "gnss_size": 1.1} for name in ("ISM1", "ISM2")])
    events, verdicts = write_source(tmp_path, event(), event(t50="2019-09-01"), gnss=gnss)
    stage.write_increment(events, verdicts, tmp_path / "increments", tmp_path / "increment.json")

    pointer = json.loads((tmp_path / "increment.json").read_text())
    read = increment.read(tmp_path / "increments" / pointer["increment"])
    assert pointer["region"] == read.region == "AAAA"
    assert list(read.events["gnss_verdict"]) == ["no_coverage", "confirmed"]
    assert list(read.events["gnss_note"]) == ["", ""] and read.events["gnss_size"][1] == 1.1
    assert list(read.events["gnss_stations"]) == [0, 2]
    assert np.isnan(read.events["gnss_log_likelihood_ratio"][0])
    assert read.events["gnss_log_likelihood_ratio"][1] == 7.5
    assert read.scans == (scan(),)


def test_the_same_scan_twice_is_one_increment_and_another_scan_is_the_next(tmp_path):
    directory, pointer = tmp_path / "increments", tmp_path / "increment.json"
    first = write_source(tmp_path / "one", event())
    second = write_source(tmp_path / "two", event(), event(t50="2019-09-01"))
    texts = []
    for source in (first, first, second, second, first):
        stage.write_increment(*source, directory, pointer)
        texts.append(pointer.read_text())
    names = [path.name for path in increment.find(directory)]
    assert [name[:5] for name in names] == ["00001", "00002", "00003"]
    assert texts[0] == texts[1]
    assert texts[2] == texts[3]
    assert names[0][6:] == names[2][6:] != names[1][6:]
    assert sorted(path.name for path in directory.iterdir()) == names, "no temporary and no claim is left"


@pytest.mark.parametrize(
    ("gnss", "word"),
    [(NO_GNSS.drop(columns="gnss_stations"), "gnss_stations"), (NO_GNSS.assign(event=[]), None)],
)
def test_a_gnss_table_must_have_its_columns(tmp_path, gnss, word):
    source = write_source(tmp_path, event(), gnss=gnss)
    if word is None:
        stage.write_increment(*source, tmp_path / "increments", tmp_path / "increment.json")
        return
    with pytest.raises(SlipscanError, match=word):
        stage.write_increment(*source, tmp_path / "increments", tmp_path / "increment.json")
    assert not (tmp_path / "increment.json").exists()


def test_an_increment_of_before_the_sizes_is_read(tmp_path):
    found = with_verdicts(table(event()), NO_GNSS)
    older = found.drop(columns=[name for name in WITHOUT_GNSS if name.startswith(("gnss_size", "joint"))])
    write_events(tmp_path / "older", older.assign(gnss_verdict="no_data"), [scan()])
    path = (tmp_path / "older").rename(tmp_path / f"00001-{sha256_file(tmp_path / 'older')[:12]}.parquet")
    read = increment.read(path).events
    assert list(read["gnss_verdict"]) == ["no_coverage"] and np.isnan(read["joint_mw"][0])


def test_a_verdict_on_an_unknown_event_is_refused():
    verdicts = pd.DataFrame([WITHOUT_GNSS | {"event": 3, "gnss_verdict": "confirmed"}])
    with pytest.raises(SlipscanError, match="run gnss again"):
        with_verdicts(table(event()), verdicts)


def test_events_of_two_regions_or_without_a_scan_or_footprint_are_refused(tmp_path):
    found = with_verdicts(table(event()), NO_GNSS)
    with pytest.raises(SlipscanError, match="AAAA, BBBB"):
        append(found, [scan("BBBB")], tmp_path)
    with pytest.raises(SlipscanError, match="no scan"):
        append(found, [], tmp_path)
    bare = with_verdicts(table(event(geometry=Polygon())), NO_GNSS)
    with pytest.raises(SlipscanError, match="no footprint"):
        append(bare, [scan()], tmp_path)
    assert increment.find(tmp_path) == []


def test_a_damaged_increment_is_named(tmp_path):
    source = write_source(tmp_path / "AAAA", event())
    directory = tmp_path / "AAAA" / "increments"
    stage.write_increment(*source, directory, tmp_path / "increment.json")
    (path,) = increment.find(directory)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(SlipscanError, match=path.name):
        stage.write_increment(*source, directory, tmp_path / "increment.json")
    assert increment.find(directory) == [path]


APPENDER = """
import sys
sys.path.insert(0, sys.argv[3])
from pathlib import Path
from event_builders import event, scan, table
from slipscan.catalogue.append import append, with_verdicts
from increment_builders import NO_GNSS
print("ready", flush=True)
for number in range(int(sys.argv[2])):
    found = with_verdicts(table(event(mw=5.0 + number, weights=sys.argv[1])), NO_GNSS)
    append(found, [scan()], Path(sys.argv[4]))
"""


def appender(name, count, directory):
    here = str(Path(__file__).parent)
    command = [sys.executable, "-c", APPENDER, name, str(count), here, str(directory)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})


def test_two_processes_and_a_kill_leave_whole_increments_with_numbers_of_their_own(tmp_path):
    victim, others = appender("victim", 100000, tmp_path), [appender(name, 20, tmp_path) for name in "ab"]
    for process in (victim, *others):
        process.stdout.readline()
    wait_until(lambda: any(increment.read(p).events["weights"][0] == "victim" for p in increment.find(tmp_path)))
    victim.send_signal(signal.SIGKILL)
    victim.wait()
    assert [process.wait() for process in others] == [0, 0]
    for process in (victim, *others):
        process.stdout.close()

    append(with_verdicts(table(event(mw=1.0)), NO_GNSS), [scan()], tmp_path)
    read = [increment.read(path) for path in increment.find(tmp_path)]
    numbers = [one.seq for one in read]
    assert len(set(numbers)) == len(numbers) > 41
    assert sum(one.events["weights"][0] in ("a", "b") for one in read) == 40
    assert not list(tmp_path.glob("*.new*")), "what the killed process left is removed"
