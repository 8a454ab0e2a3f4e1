"""Many photographs at the same time: threads read them, processes compute."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Generic, TypeVar

from arbiscale.data.workers import worker_context
from arbiscale.errors import UserError
from arbiscale.processors import available_processors

_AHEAD, _SLACK = 2, 16  # tasks that wait in memory: for each that is computed, and for small ones
_FEW = 256  # tasks that threads have mostly done before a process has begun

Task = TypeVar("Task")
Data = TypeVar("Data")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Ready(Generic[Result]):
    """A result that needs no computing."""

    result: Result


def process_count(wanted: int | None) -> int:
    """How many processes compute; `runtime.workers`, or all processors. 1 = this one alone."""
    return max(1, available_processors() if wanted is None else wanted)


def read_and_compute(
    read: Callable[[Task], Data | Ready[Result]],
    compute: Callable[[Data], Result],
    tasks: Sequence[Task],
    *,
    threads: int,
    processes: int,
) -> Iterator[Result]:
    """The results in the order of the tasks, whatever the number of processes.

    Args:
        read: the data of a task, or its result where there is nothing to compute; called in threads.
        compute: called in processes where there are many tasks, so a module's function or a partial of one.
        tasks: what is to be done.
        threads: that read at the same time.
        processes: that compute at the same time; with 1, or for few tasks, the threads compute too.

    Raises:
        UserError: a process was killed; as `read` and `compute` do.
    """
    if processes == 1 or len(tasks) < _FEW:
        yield from in_threads(lambda task: _computed(compute, read(task)), tasks, threads)
        return
    with ProcessPoolExecutor(processes, worker_context(processes), _begin_process) as pool:

        def begin(data: Data | Ready[Result]) -> Future[Result]:
            if not isinstance(data, Ready):
                return pool.submit(compute, data)
            done: Future[Result] = Future()
            done.set_result(data.result)
            return done

        try:
            yield from _in_order(begin, in_threads(read, tasks, threads), processes)
        except BrokenProcessPool:
            raise UserError(
                f"one of {processes} processes that read photographs was killed, perhaps for lack of memory; "
                "set runtime.workers to fewer"
            ) from None
        finally:
            pool.shutdown(cancel_futures=True)


def in_threads(work: Callable[[Task], Result], tasks: Iterable[Task], threads: int) -> Iterator[Result]:
    """Results in the order of the tasks; few are computed ahead, so that memory does not grow."""
    pool = ThreadPoolExecutor(threads)
    try:
        yield from _in_order(lambda task: pool.submit(work, task), tasks, threads)
    finally:  # after a failure or Ctrl-C, begin nothing more
        pool.shutdown(cancel_futures=True)


def _in_order(
    begin: Callable[[Task], Future[Result]], tasks: Iterable[Task], workers: int
) -> Iterator[Result]:
    waiting: deque[Future[Result]] = deque()
    for task in tasks:
        waiting.append(begin(task))
        if len(waiting) > workers * _AHEAD + _SLACK:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _computed(compute: Callable[[Data], Result], data: Data | Ready[Result]) -> Result:
    return data.result if isinstance(data, Ready) else compute(data)


def _begin_process() -> None:
    """Ctrl-C is the parent's to handle, and a parent that is killed leaves no process behind."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
