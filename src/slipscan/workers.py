"""Work on many tiles, or null stacks, with results in their order: by threads here, or on a dask cluster.

A cluster is given as dask's own convention has it: the environment variable DASK_SCHEDULER_ADDRESS (or
`scheduler-address` in dask's configuration), or a client that is active in this process. The function, with all that it
holds, then goes to every worker once, and an item is all that is sent for a piece of work; so it is a function of a
module (with `functools.partial`, where it takes more than an item). Results come back to the caller, who alone writes.
"""

from __future__ import annotations

import contextlib
import logging
import os
import pickle
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final, TypeVar

import cloudpickle
import dask
from threadpoolctl import threadpool_limits

import slipscan
from slipscan.errors import SlipscanError
from slipscan.progress import progress

if TYPE_CHECKING:
    from distributed import Client

log = logging.getLogger(__name__)

Item = TypeVar("Item")
Result = TypeVar("Result")
Keep = Callable[[Any], Any]

ADDRESS: Final = "DASK_SCHEDULER_ADDRESS"
CONNECT_S: Final = 30.0
LOOK_S: Final = 5.0
"""Between two looks at whether the cluster still has workers."""
PATIENCE_S: Final = 120.0
"""Without any worker: one that died is started again within seconds, a job in a queue is not."""


_inside = threading.local()
"""Its attribute `now`: whether this thread is at a piece of work, which is not cut up again."""


def in_order(
    function: Callable[[Item], Any],
    items: Sequence[Item],
    threads: int,
    description: str | None,
    keep: Keep = lambda result: result,
) -> Iterator[Any]:
    """Yield function(item) of every item, in order; a few are worked on at once, whatever is held stays small.

    The first error ends the work: what has not begun is not begun.

    Parameters
    ----------
    function
        gives the same whatever thread or machine it runs on
    items
        small
    threads
        where there is no cluster: items that are worked on at once
    description
        of the progress that is shown; None: none is
    keep
        makes of a result what is yielded, in this process, in any order and on any thread: writes what is large

    Raises
    ------
    SlipscanError
        a cluster is asked for and distributed is not installed, no scheduler answers, or the cluster is lost
    """
    results = _results(function, items, threads, description or "the work", keep)
    yield from results if description is None else progress(results, description, len(items))


def _results(
    function: Callable[[Item], Any], items: Sequence[Item], threads: int, name: str, keep: Keep
) -> Iterator[Any]:
    with contextlib.ExitStack() as open_until_done:
        client = None if getattr(_inside, "now", False) else open_until_done.enter_context(_cluster())
        held = None if client is None else _sent(client, function, name)
        if client is not None and held is not None:
            yield from _on_cluster(client, held, items, name, keep)
        elif threads <= 1:
            yield from (keep(function(item)) for item in items)
        else:
            with ThreadPoolExecutor(threads) as pool:
                work = pool.submit
                yield from _ahead(lambda item: work(lambda: keep(function(item))), Future.result, items, threads + 1)


def _ahead(
    submit: Callable[[Item], Any], result_of: Callable[[Any], Result], items: Iterable[Item], most: int
) -> Iterator[Result]:
    """Results in order; at most so many are begun and not yet given."""
    waiting: deque[Any] = deque()
    try:
        for item in items:
            if len(waiting) == most:
                yield result_of(waiting.popleft())
            waiting.append(submit(item))
        while waiting:
            yield result_of(waiting.popleft())
    finally:
        for future in waiting:
            future.cancel()


@contextlib.contextmanager
def _cluster() -> Iterator[Client | None]:
    """The client of the cluster that is given, or None."""
    address = os.environ.get(ADDRESS) or dask.config.get("scheduler-address", None)
    active = _active_client()
    if active is not None or not address:
        yield active
        return
    try:
        from distributed import Client
    except ImportError as error:
        raise SlipscanError(
            f"{ADDRESS} names a dask cluster ({address}), but the package distributed is not installed: install"
            " slipscan[cluster], or unset it"
        ) from error
    try:
        client = Client(address, timeout=CONNECT_S, set_as_default=False)
    except (OSError, ValueError, ImportError) as error:
        raise SlipscanError(
            f"no dask scheduler answers at {address}: start one (dask scheduler), correct {ADDRESS}, or unset it"
        ) from error
    with contextlib.closing(client):  # as a context it would be everybody's default
        yield client


def _active_client() -> Client | None:
    """The client that the caller of slipscan has started, if any; distributed is not imported to find none."""
    if sys.modules.get("distributed") is None:
        return None
    from distributed import default_client

    try:
        return default_client()
    except ValueError:
        return None


def _sent(client: Client, function: Callable[[Any], Any], name: str) -> Any | None:
    """The function on every worker, as a future; None where it cannot be sent, which is said in the log."""
    try:
        size = _size(function)
    except (TypeError, AttributeError, pickle.PicklingError) as error:
        log.warning("%s: on threads of this process, since it cannot be sent to a cluster (%s)", name, error)
        return None
    with _losses_said(client, name):
        threads = _checked(client)
        (held,) = client.scatter([function], broadcast=True, hash=False)
    log.info("%s: on %s, %d at once, each worker sent %.3g MB", name, _where(client), threads, size / 1e6)
    return held


def _size(function: Callable[[Any], Any]) -> int:
    """Bytes of a function with what it holds, as they are sent, none of which is kept."""
    counter = _Counter()
    cloudpickle.CloudPickler(counter, protocol=5).dump(function)
    return counter.size


class _Counter:
    """A file that counts what is written to it."""

    size = 0

    def write(self, data: bytes) -> None:
        """Count it."""
        self.size += memoryview(data).nbytes


def _on_cluster(client: Client, held: Any, items: Iterable[Item], name: str, keep: Keep) -> Iterator[Any]:
    """Results of a function that is held by the workers, in order; raises SlipscanError where these are lost."""
    with _losses_said(client, name):
        yield from _ahead(
            lambda item: client.submit(_call, held, item, pure=False),
            lambda future: keep(_result(client, future)),
            items,
            2 * sum(client.nthreads().values()),
        )


def _where(client: Client) -> str:
    return f"the dask cluster at {client.scheduler.address if client.scheduler is not None else '?'}"


@contextlib.contextmanager
def _losses_said(client: Client, name: str) -> Iterator[None]:
    """Say in a sentence that the cluster was lost; raises SlipscanError."""
    from distributed import CancelledError, KilledWorker
    from distributed.comm import CommClosedError

    where = _where(client)
    try:
        yield
    except KilledWorker as error:
        raise SlipscanError(
            f"{name}: workers of {where} died at the same piece of work again and again: most likely they need more"
            " memory (dask worker --memory-limit) or fewer threads (--nthreads)"
        ) from error
    except (CancelledError, CommClosedError) as error:
        raise SlipscanError(
            f"{name}: {where} was lost: look at the logs of its scheduler and workers, and run this again"
        ) from error


def _checked(client: Client) -> int:
    """Threads of all workers; raises SlipscanError where there is none, or one lacks this slipscan."""
    where = _where(client)
    with contextlib.suppress(TimeoutError):
        client.wait_for_workers(1, timeout=CONNECT_S)
    if (threads := sum(client.nthreads().values())) == 0:
        raise SlipscanError(f"{where} has no workers: start some (dask worker ADDRESS)")
    try:
        found = set(client.run(_version).values())
    except Exception as error:
        raise SlipscanError(
            f"a worker of {where} cannot run slipscan ({type(error).__name__}: {error}): install slipscan"
            f" {slipscan.__version__} in the environment that it runs in"
        ) from error
    if found != {slipscan.__version__}:
        raise SlipscanError(
            f"workers of {where} have slipscan {', '.join(sorted(found))}, this is {slipscan.__version__}: start them"
            " in the same environment"
        )
    return threads


def _version() -> str:
    return slipscan.__version__


def _result(client: Client, future: Any) -> Any:
    """What a future holds, as long as the cluster has workers, or gets some soon."""
    waited = 0.0
    while not future.done():
        try:
            return future.result(timeout=LOOK_S)
        except TimeoutError:
            waited = 0.0 if client.nthreads() else waited + LOOK_S
            if waited > PATIENCE_S:
                raise SlipscanError(f"{_where(client)} has had no workers for {PATIENCE_S:.0f} s: start some") from None
    return future.result()


def _call(function: Callable[[Item], Result], item: Item) -> Result:
    """A piece of work, in a thread of a worker: as in the caller, linear algebra on one thread, no dask inside."""
    _one_thread()
    _inside.now = True
    try:
        with _synchronous:
            return function(item)
    finally:
        _inside.now = False


def _one_thread() -> None:
    """Results depend on the number of threads of a sum: one, as the command line has it."""
    threadpool_limits(1, "blas")
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


class _Synchronous:
    """What is lazy is read by the thread that needs it; left when the last piece of work in the process is done.

    The configuration of dask is that of all threads, so one of them may not put back what it found.
    """

    def __init__(self) -> None:
        self._lock, self._count, self._set = threading.Lock(), 0, contextlib.ExitStack()

    def __enter__(self) -> None:
        with self._lock:
            self._count += 1
            if self._count == 1:
                self._set.enter_context(dask.config.set(scheduler="synchronous"))

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._count -= 1
            if self._count == 0:
                self._set.close()


_synchronous = _Synchronous()
