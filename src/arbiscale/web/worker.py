"""Drawings one after another, in a thread of their own: bounded in number and time, equal ones made once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakSet

from arbiscale.errors import UserError
from arbiscale.models.device import use_threads
from arbiscale.web.refusals import BusyError

if TYPE_CHECKING:
    from arbiscale.inference.model import Model


Answer = TypeVar("Answer")


class AbandonedError(Exception):
    """Nobody waits for a drawing any more."""


@dataclass
class Job:
    """A drawing that is asked for.

    Attributes:
        title: what is drawn, in a few words.
        pixels: to be drawn; 0 = unknown.
        deadline: of `time.monotonic`.
        clients: that wait for it.
        drawn: pixels so far.
        passes: of networks so far.
        begun: whether it is being drawn.
    """

    title: str
    pixels: int
    deadline: float
    clients: int = 0
    drawn: int = 0
    passes: int = 0
    begun: bool = False
    answer: asyncio.Future[Any] = field(init=False)

    def advance(self, pixels: int) -> None:
        """So many more pixels are drawn; raises `AbandonedError` or UserError where it should not go on."""
        self.drawn += pixels
        self.check()

    def check(self) -> None:
        """Stop a drawing that nobody waits for, or that takes too long."""
        if not self.clients:
            raise AbandonedError
        if time.monotonic() > self.deadline:
            raise UserError("the drawing took too long; ask for fewer pixels or steps")


class Worker:
    """Draws one thing at a time, so that models need not be safe for threads.

    Args:
        waiting: drawings that may be asked for at once, the present one among them.
        seconds: from a request to its answer.
        threads: that compute a drawing; 0 = torch's choice.
    """

    def __init__(self, waiting: int, seconds: float, threads: int = 0) -> None:
        self.waiting, self.seconds = waiting, seconds
        self.shared = 0  # requests that were answered by another's drawing
        self._jobs: dict[Hashable, Job] = {}
        self._present: Job | None = None
        self._watched: WeakSet[Model] = WeakSet()
        self._thread = ThreadPoolExecutor(1, "drawing", initializer=use_threads, initargs=(threads,))

    @property
    def jobs(self) -> list[Job]:
        """The drawings asked for, the present one first."""
        return [*self._jobs.values()]

    async def run(self, key: Hashable, title: str, pixels: int, work: Callable[[Job], Answer]) -> Answer:
        """The answer of a piece of work; requests of one key share it, while it lasts.

        Cancelled, it is given up as soon as nobody else waits for it.

        Args:
            key: all that decides the answer.
            title: for `Job`.
            pixels: for `Job`.
            work: called in the thread.

        Raises:
            UserError: as `work`; or it took too long.
            BusyError: too many wait, or it was not begun in time.
        """
        while True:
            job = self._jobs.get(key)
            if job is None:
                job = self._ask(key, Job(title, pixels, time.monotonic() + self.seconds), work)
            else:
                self.shared += 1
            job.clients += 1
            try:
                return await asyncio.shield(job.answer)
            except AbandonedError:  # by another client, just before this one joined
                continue
            finally:
                job.clients -= 1
                if not job.clients and not job.begun:
                    job.answer.cancel()

    def _ask(self, key: Hashable, job: Job, work: Callable[[Job], Any]) -> Job:
        if len(self._jobs) >= self.waiting:
            raise BusyError(f"{len(self._jobs)} drawings are asked for already; try again later")
        job.answer = asyncio.get_running_loop().run_in_executor(self._thread, self._run, job, work)
        job.answer.add_done_callback(lambda done: self._forget(key, done))
        self._jobs[key] = job
        return job

    def _forget(self, key: Hashable, done: asyncio.Future[Any]) -> None:
        del self._jobs[key]
        if not done.cancelled():
            done.exception()  # which nobody may have waited for

    def _run(self, job: Job, work: Callable[[Job], Answer]) -> Answer:
        if time.monotonic() > job.deadline:
            raise BusyError(f"others came first for {self.seconds:g} s; try again later")
        job.begun, self._present = True, job
        try:
            job.check()
            return work(job)
        finally:
            self._present = None

    def watch(self, model: Model) -> None:
        """Have every pass of a model's networks counted, and checked for whether it is still wanted."""
        if model not in self._watched:
            self._watched.add(model)
            for network in model.networks():
                network.register_forward_hook(lambda *_: self._passed())

    def _passed(self) -> None:
        if self._present is not None:
            self._present.passes += 1
            self._present.check()

    def close(self) -> None:
        """Give up what is asked for."""
        for job in self._jobs.values():
            job.clients = 0
        self._thread.shutdown(wait=True, cancel_futures=True)
