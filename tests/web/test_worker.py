"""Where drawings are computed, and in how many threads."""

from __future__ import annotations

import asyncio

import torch

from arbiscale.cli import serving
from arbiscale.web.worker import Worker


def test_drawings_have_their_threads_and_the_rest_of_the_process_one() -> None:
    before = torch.get_num_threads()
    try:
        worker = Worker(1, 60.0, serving._left_to_the_worker(3))
        drawing = asyncio.run(worker.run("key", "title", 1, lambda _: torch.get_num_threads()))
        assert (drawing, torch.get_num_threads()) == (3, 1)
    finally:
        torch.set_num_threads(before)
