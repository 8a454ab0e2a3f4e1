"""Many photographs at the same time: threads read them, processes compute, here or on a cluster."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import socket
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from arbiscale.config.processors import available_processors
from arbiscale.config.runtime import RuntimeSettings
from arbiscale.data.workers import worker_context
from arbiscale.errors import UserError, first_line

_AHEAD, _SLACK = 2, 16  # tasks that wait in memory: for each that is computed, and for small ones
_FEW = 256  # tasks that threads have mostly done before a process has begun

Task = TypeVar("Task")
Data = TypeVar("Data")
Result = TypeVar("Result")
Begin = tuple[Callable[[Data], Future[Result]], int]  # begins a task; how many are computed at the same time


@dataclass(frozen=True)
class Ready(Generic[Result]):
    """A result that needs no computing."""

    result: Result


@dataclass(frozen=True)
class Engine:
    """What computes.

    Attributes:
        processes: of this machine; 1 = this one alone.
        ray_address: of a cluster that computes instead; empty = none.
    """

    processes: int = 1
    ray_address: str = ""

    @classmethod
    def of(cls, runtime: RuntimeSettings) -> Engine:
        """The one that is wanted: `workers` processes, or one a processor."""
        wanted = available_processors() if runtime.workers is None else runtime.workers
        return cls(max(1, wanted), runtime.ray_address)


ALONE = Engine()


def read_and_compute(
    read: Callable[[Task], Data | Ready[Result]],
    compute: Callable[[Data], Result],
    tasks: Sequence[Task],
    *,
    threads: int,
    engine: Engine,
) -> Iterator[Result]:
    """The results in the order of the tasks, whatever computes them.

    Args:
        read: the data of a task, or its result where there is nothing to compute; called in threads.
        compute: called in processes where there are many tasks, so a module's function or a partial of one.
        tasks: what is to be done.
        threads: that read at the same time.
        engine: of many tasks; with one process, or for few tasks, the threads compute too.

    Raises:
        UserError: a process was killed, or there is no such cluster; as `read` and `compute` do.
    """
    if len(tasks) < _FEW or engine == ALONE:
        yield from in_threads(lambda task: _computed(compute, read(task)), tasks, threads)
        return
    with _on_ray(compute, engine) if engine.ray_address else _on_processes(compute, engine) as (begin, count):

        def begun(data: Data | Ready[Result]) -> Future[Result]:
            if not isinstance(data, Ready):
                return begin(data)
            done: Future[Result] = Future()
            done.set_result(data.result)
            return done

        yield from _in_order(begun, in_threads(read, tasks, threads), count)


@contextmanager
def _on_processes(compute: Callable[[Data], Result], engine: Engine) -> Iterator[Begin[Data, Result]]:
    count = engine.processes
    pool = ProcessPoolExecutor(count, worker_context(count), _begin_process)
    try:
        yield lambda data: pool.submit(compute, data), count
    except BrokenProcessPool:
        raise UserError(
            f"one of {count} processes that read photographs was killed, perhaps for lack of memory; "
            "set runtime.workers to fewer"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def _on_ray(compute: Callable[[Data], Result], engine: Engine) -> Iterator[Begin[Data, Result]]:
    """On the nodes of a cluster, which get this package and must have what it requires."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would tell its makers
    import ray

    named = f"runtime.ray_address: {engine.ray_address}"
    package = str(Path(__file__).parents[1])
    try:
        host, _, port = engine.ray_address.rpartition(":")
        if host and port.isdecimal():  # where nothing answers, ray waits for minutes and ends this process
            socket.create_connection((host, int(port)), timeout=10).close()
        ray.init(
            engine.ray_address,
            runtime_env={"py_modules": [package]},
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
    except (OSError, ValueError, RuntimeError) as error:
        raise UserError(f"{named}: no cluster answers ({first_line(error)})") from None
    try:
        remote = ray.remote(lambda data: compute(data))
        yield lambda data: remote.remote(data).future(), int(ray.cluster_resources()["CPU"])
    except ray.exceptions.RayTaskError as error:
        raise error.cause from None
    except ray.exceptions.RayError as error:
        raise UserError(f"{named}: failed ({first_line(error)})") from None
    finally:
        ray.shutdown()


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
