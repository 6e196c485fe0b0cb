"""A Slurm of one host, from Debian's packages: two cpu nodes, a gpu node (a counted gres), accounting that answers.

    python tests/slurm/cluster.py install     the packages (Debian or Ubuntu, as root)
    python tests/slurm/cluster.py up          start it, to try things by hand; Ctrl-C stops it

Everything of its own lies below `STATE`, but for slurm.conf: jobs find it in /etc/slurm alone, since the executor
plugin takes SLURM_CONF out of their environment. A configuration there that is not ours is never touched.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, TextIO

from slurm_conf import NODES, PORT, STATE, configuration

LOCK: Final = STATE.with_suffix(".lock")
"""Held by the process whose cluster it is: what lies in `STATE` without it was left by one that was killed."""
ETC: Final = Path("/etc/slurm")
OURS: Final = "# Written by the tests of slipscan, which remove it.\n"
PACKAGES: Final = ("slurmctld", "slurmd", "slurm-client", "slurmdbd", "munge", "mariadb-server")
POLICY: Final = Path("/usr/sbin/policy-rc.d")
START_S: Final = 300.0
"""A limit that only a hang reaches, also on a busy machine."""
STOP_S: Final = 20.0


def install() -> None:
    """Install the packages without starting a daemon of theirs."""
    if all(shutil.which(name) for name in ("slurmctld", "slurmdbd", "slurmd", "sbatch", "munged", "mariadbd")):
        return
    check_place()
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    foreign = POLICY.exists()
    if not foreign:
        POLICY.write_text("#!/bin/sh\nexit 101\n")
        POLICY.chmod(0o755)
    try:
        subprocess.run(["apt-get", "update", "-q"], check=True, env=environment)
        command = ["apt-get", "install", "-y", "-q", "--no-install-recommends", *PACKAGES]
        subprocess.run(command, check=True, env=environment)
    finally:
        if not foreign:
            POLICY.unlink()


def check_place() -> None:
    """Refuse what is no test machine: exit with a sentence."""
    if os.geteuid() != 0:
        sys.exit("the Slurm tests start daemons and write /etc/slurm: run them as root, in a container")
    for name in ("slurm.conf", "slurmdbd.conf"):
        path = ETC / name
        if path.exists() and not path.read_text().startswith(OURS):
            sys.exit(f"{path} is not of these tests, so nothing is touched: run them on a machine without a Slurm")


class Cluster:
    """The daemons of the cluster, as processes of this one."""

    def __init__(self) -> None:
        self.daemons: dict[str, subprocess.Popen[bytes]] = {}
        self._lock: TextIO | None = None

    def start(self) -> None:
        """Start everything; the nodes are idle when it returns."""
        check_place()
        self._lock = LOCK.open("a")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            sys.exit(f"another run of these tests is at work (it holds {LOCK}): wait for its end")
        _remove_leftovers()
        STATE.mkdir(mode=0o755)
        for name in ("ctld", "database", *NODES):
            (STATE / name).mkdir()
        for name, text in configuration(socket.gethostname().partition(".")[0]).items():
            (ETC / name).write_text(OURS + text)
        (ETC / "slurmdbd.conf").chmod(0o600)
        self._start_munge()
        self._start_database()
        self._daemon("slurmdbd", "slurmdbd", "-D")
        _until(lambda: _answers("sacctmgr", "-i", "add", "cluster", "slipscan"), "slurmdbd answers")
        # An account of two, so that a profile has to name one that exists.
        _run("sacctmgr", "-i", "add", "account", "geodesy", "Description=geodesy", "Organization=slipscan")
        _run("sacctmgr", "-i", "add", "user", "root", "Account=geodesy", "DefaultAccount=geodesy")
        self._daemon("slurmctld", "slurmctld", "-D", "-c")
        for name in NODES:
            self.start_node(name)
        _until(lambda: self.states() == dict.fromkeys(NODES, "idle"), "all nodes are idle")

    def start_node(self, name: str) -> None:
        """Start a node's daemon."""
        self._daemon(name, "slurmd", "-D", "-N", name)

    def kill_node(self, name: str) -> None:
        """Lose a node: its daemon and all processes of its jobs, at once."""
        daemon = self.daemons.pop(name)
        for process in (daemon.pid, *_stepds(name)):
            _kill_tree(process)
        daemon.wait()

    @staticmethod
    def states() -> dict[str, str]:
        """What Slurm says of its nodes."""
        lines = _run("sinfo", "-h", "-N", "-o", "%N %T").split("\n")
        return dict(line.split() for line in lines if line)

    def stop(self) -> None:
        """Stop the daemons that were started here, newest first, and remove what they wrote."""
        for name in reversed(self.daemons):
            process = self.daemons[name]
            for stepd in _stepds(name):
                _kill_tree(stepd)
            process.terminate()
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.daemons.clear()
        _remove_leftovers()
        if self._lock is not None:
            self._lock.close()
            LOCK.unlink()

    def _start_munge(self) -> None:
        key = STATE / "munge.key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o400)
        files = {"key-file": "munge.key", "socket": "munge.socket", "pid-file": "munge.pid", "seed-file": "munge.seed"}
        options = [f"--{option}={STATE / name}" for option, name in files.items()]
        self._daemon("munged", "munged", "-F", "--force", f"--log-file={STATE}/munged.log", *options)
        _until((STATE / "munge.socket").exists, "munge has a socket")

    def _start_database(self) -> None:
        where = f"--datadir={STATE}/database"
        _run(
            "mariadb-install-db",
            "--no-defaults",
            "--user=root",
            where,
            "--skip-test-db",
            "--auth-root-authentication-method=normal",
        )
        here = f"{STATE}/mariadb.socket"
        self._daemon(
            "mariadbd", "mariadbd", "--no-defaults", "--user=root", where, f"--socket={here}",
            "--bind-address=127.0.0.1", f"--port={PORT + 2}", f"--pid-file={STATE}/mariadb.pid",
            "--innodb-flush-log-at-trx-commit=0",
        )  # fmt: skip
        _until(lambda: _answers("mariadb", f"--socket={here}", "-e", "SELECT 1"), "the database answers")
        grants = (
            f"GRANT ALL ON slurm.* TO 'slurm'@'{host}' IDENTIFIED BY 'slurm';" for host in ("localhost", "127.0.0.1")
        )
        _run("mariadb", f"--socket={here}", "-e", " ".join(["CREATE DATABASE slurm;", *grants]))

    def _daemon(self, name: str, *command: str) -> None:
        with (STATE / f"{name}.out").open("ab") as out:
            self.daemons[name] = subprocess.Popen(command, stdout=out, stderr=out, start_new_session=True)
        (STATE / f"{self.daemons[name].pid}.started").write_text(command[0])


def _remove_leftovers() -> None:
    """Remove what a run of these tests wrote; daemons of one that was killed are ended by their recorded ids."""
    for record in STATE.glob("*.started"):
        try:
            words = Path(f"/proc/{record.stem}/cmdline").read_bytes()
        except OSError:
            continue
        if words.startswith(record.read_text().encode() + b"\0"):
            _kill(int(record.stem))
    shutil.rmtree(STATE, ignore_errors=True)
    for name in ("slurm.conf", "slurmdbd.conf", "gres.conf"):
        if (ETC / name).exists() and (ETC / name).read_text().startswith(OURS):
            (ETC / name).unlink()


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout


def _answers(*command: str) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def _until(true: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + START_S
    while not true():
        if time.monotonic() > end:
            raise RuntimeError(f"after {START_S:.0f} s it is not so that {what}: see the logs in {STATE}")
        time.sleep(0.2)


def _stepds(node: str) -> list[int]:
    """The processes that watch over the jobs of a node; they outlive its daemon."""
    spool = f"{STATE}/{node}".encode()
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words, opened = path.read_bytes(), [str(each.readlink()) for each in (path.parent / "fd").iterdir()]
        except OSError:
            continue
        if words.startswith(b"slurmstepd") and any(each.encode().startswith(spool) for each in opened):
            found.append(int(path.parent.name))
    return found


def _descendants(process: int) -> list[int]:
    out = []
    for path in Path(f"/proc/{process}/task").glob("*/children"):
        try:
            children = [int(word) for word in path.read_text().split()]
        except OSError:
            continue
        out += [*children, *(each for child in children for each in _descendants(child))]
    return out


def _kill_tree(process: int) -> None:
    """End a process and all that it started."""
    for each in (process, *_descendants(process)):
        _kill(each)


def _kill(process: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, signal.SIGKILL)


def main(command: str) -> None:
    """One of the commands above."""
    if command == "install":
        install()
    elif command == "up":
        signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(143))
        cluster = Cluster()
        try:
            cluster.start()
            print(_run("sinfo"), "Ctrl-C stops it", flush=True)
            signal.pause()
        finally:
            cluster.stop()


if __name__ == "__main__":
    main(sys.argv[1])
