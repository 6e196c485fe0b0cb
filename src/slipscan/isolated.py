"""A function in a process of its own: HDF5 may end its process by a signal where it finds no space left."""

from __future__ import annotations

import gc
import multiprocessing
import os
import pickle
import signal
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from slipscan.progress import set_up_logging


def call_isolated(function: Callable[..., None], *arguments: Any) -> None:
    """Call a function of a module in a new process, and wait for it.

    Its exceptions are raised here; the process never outlives the call.

    Raises
    ------
    RuntimeError
        the process ended by a signal, or without a word
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    child = context.Process(target=_answer, args=(theirs, function, arguments), daemon=True)
    child.start()
    theirs.close()
    try:
        failure = ours.recv()
        child.join()
    except EOFError:
        child.join()
        raise RuntimeError(f"the process that wrote ended with status {child.exitcode}") from None
    finally:
        child.kill()  # where Ctrl-C or SIGTERM came in between
        child.join()
    if failure is not None:
        raise failure


def _answer(answer: Connection, function: Callable[..., None], arguments: tuple[Any, ...]) -> None:
    """Run in the child: send None, or what was raised, and leave at once."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent tidies up
    set_up_logging()
    failures: list[BaseException] = []
    # h5py closes files where nothing can be raised: what it says there is a failure too, though not one to print.
    sys.unraisablehook = lambda said: failures.append(said.exc_value or RuntimeError(str(said.err_msg)))
    sys.excepthook = lambda kind, error, trace: failures.append(error)
    try:
        function(*arguments)
        gc.collect()
    except Exception as error:  # raised again in the parent
        failures.insert(0, error)
    answer.send(_sendable(failures[0]) if failures else None)
    answer.close()
    os._exit(0)  # HDF5 would write its caches once more at the end of the process, and crash


def _sendable(failure: BaseException) -> BaseException:
    """The exception, or its text where it cannot be pickled."""
    try:
        pickle.loads(pickle.dumps(failure))
    except Exception:
        return RuntimeError(f"{type(failure).__name__}: {failure}")
    return failure
