"""Python in processes of its own that begin where the imports are done: one start for many commands."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from waiting import LONG_S, wait_until

PARENT = """
import atexit, gc, importlib, json, os, sys, traceback
for name in sys.argv[1:]:
    importlib.import_module(name)
gc.freeze()
for line in sys.stdin:
    code, words, cwd, said, printed = json.loads(line)
    child = os.fork()
    if not child:
        os.chdir(cwd)
        for path, number in ((os.devnull, 0), (printed, 1), (said, 2)):
            os.dup2(os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600), number)
        sys.argv, status = words, 0
        try:
            exec(code, {"__name__": "__main__"})
        except SystemExit as end:
            status = end.code or 0
        except BaseException:
            traceback.print_exc()
            status = 1
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)  # taking torch down would copy what the fork shares
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
MAIN = "import slipscan.cli\nslipscan.cli.main()\n"


@dataclass(frozen=True)
class Child:
    """A process under way."""

    pid: int
    printed: Path
    said: Path
    answers: Any

    def ended(self) -> "subprocess.CompletedProcess[str]":
        """Wait for its end."""
        status = int(self.answers.readline())
        return subprocess.CompletedProcess((), status, self.printed.read_text(), self.said.read_text())

    def wait_for(self, line: str) -> None:
        """Return once it has printed a line; it must not have ended before."""
        wait_until(lambda: line in self.printed.read_text().splitlines() or self._is_gone(), f"'{line}'")
        assert not self._is_gone(), self.said.read_text()

    def _is_gone(self) -> bool:
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        return False


class Forking:
    """A process that has imported `modules`, and forks itself for every call, one after another."""

    def __init__(self, directory: Path, *modules: str) -> None:
        self.files = directory / "out.txt", directory / "err.txt"
        self.parent = subprocess.Popen(
            [sys.executable, "-c", PARENT, *modules],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True,
        )  # fmt: skip

    def start(self, code: str, *words: str | Path, cwd: Path) -> Child:
        """Begin to run Python code with `words` as its command line."""
        assert self.parent.stdin is not None and self.parent.stdout is not None
        for file in self.files:
            file.write_text("")
        said = [code, [str(word) for word in ("slipscan", *words)], str(cwd), *map(str, reversed(self.files))]
        self.parent.stdin.write(json.dumps(said) + "\n")
        self.parent.stdin.flush()
        return Child(int(self.parent.stdout.readline()), *self.files, self.parent.stdout)

    def slipscan(self, *words: str | Path, cwd: Path) -> "subprocess.CompletedProcess[str]":
        """Run `slipscan ...` to its end."""
        return self.start(MAIN, *words, cwd=cwd).ended()

    def __enter__(self) -> "Forking":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        os.killpg(self.parent.pid, signal.SIGKILL)  # a child that a failed test left, too
        self.parent.communicate(timeout=LONG_S)
