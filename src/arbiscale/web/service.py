"""The served models at work: what requests ask for, drawn in the worker's thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from dataclasses import replace
from pathlib import Path
from typing import Any

from arbiscale.imaging.coordinates import Region, Size
from arbiscale.imaging.formats import find_format
from arbiscale.inference.model import Model
from arbiscale.inference.requests import (
    Subject,
    check,
    encode,
    planned_size,
    read_subject,
    sample,
)
from arbiscale.inference.serving import PictureModel
from arbiscale.inference.writing import encode_drawing
from arbiscale.web.kept import Gallery
from arbiscale.web.models import Models
from arbiscale.web.resized import BICUBIC
from arbiscale.web.settings import Query, ServerLimits, View
from arbiscale.web.worker import Answer, Job, Worker


class Service:
    """Models, what is kept for them, and the thread that draws.

    Attributes:
        models: which draw.
        limits: of what is taken on.
        gallery: what is kept.
        worker: that draws.
        pixels: drawn so far.
    """

    def __init__(self, models: Models, limits: ServerLimits) -> None:
        self.models, self.limits = models, limits
        self.gallery = Gallery(limits.kept_px, limits.kept_bytes)
        self.worker = Worker(limits.waiting, limits.seconds, limits.threads)
        self.pixels = 0

    async def keep(self, data: bytes, name: str) -> tuple[str, Size]:
        """Keep an encoded picture; its name and (height, width).

        Raises:
            UserError: it is no picture, or larger than what is kept.
        """
        limits = replace(self.limits, input_px=min(self.limits.input_px, self.limits.kept_px))

        def read(job: Job) -> Subject:
            return read_subject(data, limits, name)

        subject = await self.worker.run((data, name), "reading a picture", 0, read)
        return self.gallery.add(subject), subject.size

    async def whole(self, identity: str, query: Query) -> bytes:
        """All of a kept or a generated picture, as a file that says what drew it; raises UserError."""
        subject = self.gallery.subject(identity)
        size = planned_size(subject, query, self.limits)
        suffix, model = f".{query.format}", self.models.served

        def draw(job: Job, advance: Callable[[int], None]) -> bytes:
            if query.model == BICUBIC:
                return self._resize(identity, subject, size, (0, 0, *size), suffix, advance)
            chosen = self._chosen(model, query)
            drawing = self.gallery.drawing(chosen, identity, subject, query)
            return encode(chosen, drawing, subject, query, size, suffix=suffix, advance=advance)

        find_format(Path(f"the picture{suffix}"), size)
        return await self._drawn((identity, query, model), size, draw)

    async def view(self, identity: str, view: View) -> bytes:
        """A part of a kept or a generated picture, in 8 bits and without alpha; raises UserError."""
        subject = self.gallery.subject(identity)
        size = planned_size(subject, view, self.limits, view.region)
        suffix, model = f".{view.format}", self.models.served

        def draw(job: Job, advance: Callable[[int], None]) -> bytes:
            if view.model == BICUBIC:
                return self._resize(identity, subject, size, view.region, suffix, advance)
            drawing = self.gallery.drawing(self._chosen(model, view), identity, subject, view)
            return encode_drawing(
                drawing, size, region=view.region, suffix=suffix, advance=advance, **view.dials
            )

        return await self._drawn((identity, view, model), view.region[2:], draw)

    async def upscale(self, data: bytes, query: Query, name: str) -> bytes:
        """An encoded picture drawn larger, in tiles where it is large; nothing is kept. Raises UserError."""
        check(query, self.limits)
        model = self.models.served

        def draw(job: Job, advance: Callable[[int], None]) -> bytes:
            subject = read_subject(data, self.limits, name)
            size = planned_size(subject, query, self.limits)
            job.pixels, suffix = size[0] * size[1], f".{query.format}"
            find_format(Path(f"the picture{suffix}"), size)
            chosen = self._chosen(model, query)
            drawing = sample(chosen, subject, query)
            return encode(chosen, drawing, subject, query, size, suffix=suffix, advance=advance)

        return await self._drawn((data, name, query, model), (0, 0), draw)

    async def invocations(self, items: Any, params: dict[str, Any], key: Hashable) -> list[str]:
        """What `mlflow models serve` answers; see `PictureModel.predict`."""
        model = self.models.served

        def draw(job: Job, advance: Callable[[int], None]) -> list[str]:
            self.worker.watch(model)
            return PictureModel(model, self.limits, advance).predict(items, params)

        return await self._drawn((key, model), (0, 0), draw)

    def _chosen(self, served: Model, query: Query) -> Model:
        """The model that a query names, whose passes are watched; None = the served one."""
        model = served if query.model is None else self.models.named(query.model)
        self.worker.watch(model)
        return model

    def _resize(
        self,
        identity: str,
        subject: Subject,
        size: Size,
        region: Region,
        suffix: str,
        advance: Callable[[int], None],
    ) -> bytes:
        form = find_format(Path(f"the picture{suffix}"), region[2:])
        return self.gallery.resized(identity, subject).encode(size, region, form, advance)

    async def _drawn(
        self, key: Hashable, size: Size, draw: Callable[[Job, Callable[[int], None]], Answer]
    ) -> Answer:
        def work(job: Job) -> Answer:
            def advance(pixels: int) -> None:
                self.pixels += pixels
                job.advance(pixels)

            return draw(job, advance)

        title = f"drawing {size[0]}x{size[1]} px" if any(size) else "drawing"
        return await self.worker.run(key, title, size[0] * size[1], work)

    async def follow_alias(self, seconds: float) -> None:
        """Look every so often whether the alias moved, for ever."""
        while True:
            await asyncio.sleep(seconds)
            await asyncio.to_thread(self.models.refresh)

    def about(self, name: str | None = None) -> dict[str, Any]:
        """What is served, or a model by its name, with its settings and limits; raises UnknownError."""
        model = self.models.named(name)
        sampling = model.sampling if model.timesteps else None
        return {
            **(model.origin.record if model.origin else {}),
            "where": name or self.models.where,
            "task": model.task,
            "steps": sampling.steps if sampling else None,
            "sampler": sampling.sampler if sampling else None,
            "temperature": model.temperature if model.has_texture else None,
            "fidelity": model.fidelity if model.has_branch else None,
            "device": model.device.type,
            "limits": {
                "input_px": self.limits.input_px,
                "kept_px": self.limits.kept_px,
                "output_px": self.limits.output_px,
                "longest_px": self.limits.longest_px,
                "side_px": self.limits.side_px,
                "steps": self.limits.steps,
            },
        }
