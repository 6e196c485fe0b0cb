"""How the command line ends: one sentence on stderr and a status, whatever a user, a disk or a scheduler did."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType
from typing import NoReturn

import typer

from slipscan import space
from slipscan.errors import SlipscanError
from slipscan.progress import set_up_logging

INTERRUPTED, TERMINATED, USAGE = 130, 143, 2
"""Statuses after Ctrl-C, after SIGTERM, and for a command that cannot be read."""
UsageError: type[Exception] = typer.BadParameter.__mro__[1]
"""Of typer, which names it only here; BadParameter is one of them."""


def run_app(app: typer.Typer) -> NoReturn:
    """Run a command line; what the user can mend ends in one sentence on stderr and status 1 (2: the command)."""
    set_up_logging()
    _end_at_sigterm()
    try:
        status = app(standalone_mode=False)
    except SlipscanError as error:
        _fail(str(error))
    except UsageError as error:
        _fail_usage(error)
    except (KeyboardInterrupt, typer.Abort):
        status = INTERRUPTED
    except SystemExit as end:
        status = end.code
    except OSError as error:
        _fail(space.sentence(error) or f"{error.strerror or error}" + (f": {error.filename}" if error.filename else ""))
    if status in (INTERRUPTED, TERMINATED):
        print("slipscan: stopped: nothing half-written has its final name; run it again to go on", file=sys.stderr)
    raise SystemExit(status if isinstance(status, int) else 0)


def _end_at_sigterm() -> None:
    """End at SIGTERM (scancel, a container that stops) as at Ctrl-C: temporaries are removed, one sentence is said."""
    ours = os.getpid()

    def end(number: int, frame: FrameType | None) -> None:
        signal.signal(number, signal.SIG_IGN)  # a second one must not end the tidying up
        if os.getpid() != ours:  # a forked worker, which its parent ends so
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        raise SystemExit(TERMINATED)

    signal.signal(signal.SIGTERM, end)


def _fail(sentence: str, status: int = 1) -> NoReturn:
    print(f"slipscan: error: {' '.join(sentence.split())}", file=sys.stderr)
    raise SystemExit(status)


def _fail_usage(error: Exception) -> NoReturn:
    """A command that typer cannot read; a subcommand that is left out is answered with the help."""
    text = str(error.format_message()) if hasattr(error, "format_message") else str(error)
    if type(error).__name__ == "NoArgsIsHelpError":  # rich has printed the help, or it is the message
        print(text.strip(), file=sys.stderr)
        raise SystemExit(USAGE)
    context = getattr(error, "ctx", None)
    name = context.command_path if context is not None else "slipscan"
    _fail(f"{text.rstrip('.')} (see {name} --help)", USAGE)
