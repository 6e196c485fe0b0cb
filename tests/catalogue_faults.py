"""A process of its own that forks workers on a results directory, kills them, and says what is left.

Run as `python catalogue_faults.py kill|race DIRECTORY ...`; forking is safe here, before any thread has begun.
"""

import fcntl
import hashlib
import itertools
import os
import signal
import sys
import tempfile
from pathlib import Path

from event_builders import event, scan, table
from increment_builders import NO_GNSS
from slipscan.catalogue import stage
from slipscan.catalogue.append import append, with_verdicts
from slipscan.settings import CatalogueSettings

SETTINGS = CatalogueSettings()


def add(results: Path, region: str, number: int, who: int = 0) -> None:
    """One more increment of a region: an event that grows, and one that is new."""
    until = f"2020-{1 + number // 28:02d}-{1 + number % 28:02d}"
    rows = [
        event(region, mw=5 + number / 100 + who / 1000),
        event(region, lon=33 + number / 10 + who, t50="2019-06-01"),
    ]
    found = with_verdicts(table(*rows), NO_GNSS)
    append(found, [scan(region, until=until)], results / region / "increments")


def fold(results: Path) -> None:
    stage.write_catalogue(results, results / "catalogue.gpkg", SETTINGS, results / "catalogue.json")


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def forked(work, *args) -> int:
    """Run in a child; its process id."""
    child = os.fork()
    if child:
        return child
    try:
        work(*args)
        os._exit(0)
    except BaseException as error:
        print(error, file=sys.stderr, flush=True)
        os._exit(1)


def status_of(child: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def at_operation(number: int, results: Path) -> int:
    """Fold, and be killed at the n-th operation on the file system (or database); else how many there were."""
    seen = 0

    def hook(name: str, _: object) -> None:
        nonlocal seen
        if name.split(".")[0] in ("open", "os", "shutil", "sqlite3", "fcntl", "tempfile"):
            seen += 1
            if seen == number:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)
    fold(results)
    return seen


def kill(results: Path, points: int) -> None:
    """Kill the fold at `points` operations or more, evenly spread; print what the catalogue was after each."""
    for region in ("AAAA", "BBBB"):
        add(results, region, 0)
    fold(results)
    old = digest(results / "catalogue.gpkg")
    keep = (results / "catalogue.gpkg").read_bytes()
    add(results, "AAAA", 1)
    read, write = os.pipe()
    child = os.fork()
    if not child:
        os.write(write, str(at_operation(10**9, results)).encode())
        os._exit(0)
    os.close(write)
    assert status_of(child) == 0
    total = int(os.read(read, 100))
    new = digest(results / "catalogue.gpkg")
    names = {old: "old", new: "new"}
    step = max((total - 1) / (points - 1), 1.0)
    for place in itertools.count():
        # What a killed one left is removed by the next, in operations of its own: so on, until one ends by itself.
        number = 1 + round(place * step)
        (results / "catalogue.gpkg").write_bytes(keep)
        forget_unlocked(results, Path(tempfile.gettempdir()))
        code = status_of(forked(at_operation, number, results))
        print(number, code, names.get(digest(results / "catalogue.gpkg"), "mixture"), flush=True)
        if code == 0:
            break
    assert status_of(forked(fold, results)) == 0
    print("end", names.get(digest(results / "catalogue.gpkg"), "mixture"))
    print("left", *left_in(results))
    print("scratch", *left_in(Path(tempfile.gettempdir())))


def forget_unlocked(*directories: Path) -> None:
    """Remove directories, empty but for a lock that nobody holds, of writers that were killed before they held a lock.

    The programme keeps them for a week. To look at each takes operations, so that the next kill would come no later.
    """
    for directory in directories:
        for path in directory.glob(".*.slipscan-*"):
            if path.suffix != ".trash" and not (path / "lock").exists():
                (path / "lock-new").unlink(missing_ok=True)
                path.rmdir()


def left_in(directory: Path) -> list[str]:
    """What is there, but for the empty directory of a writer that was killed before it held a lock (kept a week)."""
    return sorted(p.name for p in directory.iterdir() if p.name[0] != "." or (p / "lock").exists())


def race(results: Path, workers: int, rounds: int, locks: str) -> None:
    """Workers that each add increments to a region of their own and to a shared one, and fold after each."""
    results.mkdir(exist_ok=True)
    if locks == "without":

        def refuse(*_: object) -> None:
            raise OSError(38, "no locks here")

        stage.fcntl = type("fcntl", (), {"flock": refuse, "LOCK_EX": fcntl.LOCK_EX, "LOCK_NB": 0})

    def work(who: int) -> None:
        for number in range(rounds):
            add(results, f"R{who}", number, who)
            add(results, "SHARED", number, who)
            fold(results)

    children = [forked(work, who) for who in range(workers)]
    print("codes", *map(status_of, children))
    print("increments", len(stage.increments_below(results)))
    last = digest(results / "catalogue.gpkg")
    fold(results)
    print("whole" if digest(results / "catalogue.gpkg") == last else "something was lost")


if __name__ == "__main__":
    what, directory, *numbers = sys.argv[1:]
    {"kill": kill, "race": race}[what](Path(directory), *(int(n) if n.isdigit() else n for n in numbers))
