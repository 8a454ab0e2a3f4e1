"""What a flow head draws from: base samples as a function of seed, size and position."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from torch import Tensor

_BLOCK = 4096  # columns that share a generator: a detail of a wide picture takes no more than it shows


@dataclass(frozen=True)
class Texture:
    """How a flow head draws.

    Attributes:
        temperature: standard deviation of the base samples, 0 to 1; 0 = the deterministic drawing, whose
            PSNR is the best (arXiv 2303.05156, section 3.4).
        seed: of the base samples: one for all images of a batch, or one an image.
    """

    temperature: float = 0.0
    seed: int | tuple[int, ...] = 0

    def base_samples(self, rows: range, columns: range, channels: int, grid: int = 0) -> Tensor:
        """Base samples of some queries of a grid: the same ones in every region that holds them.

        Each block of columns in each row of the grid has a counter-based generator of its own.

        Args:
            rows: of the queries; numbers from 0 on.
            columns: of the queries; numbers from 0 on.
            channels: of a sample.
            grid: number of the grid, where there are several.

        Returns:
            Shape (seeds, rows, columns, channels), standard deviation `temperature`, float32 on the CPU.
        """
        seeds = self.seed if isinstance(self.seed, tuple) else (self.seed,)
        samples = np.empty((len(seeds), len(rows), len(columns), channels), np.float32)
        blocks = range(columns.start // _BLOCK, -(-columns.stop // _BLOCK))
        for (image, seed), (place, row), block in product(enumerate(seeds), enumerate(rows), blocks):
            generator = np.random.Generator(np.random.Philox(key=seed, counter=[0, block, row, grid]))
            begin = block * _BLOCK
            first, stop = max(columns.start, begin), min(columns.stop, begin + _BLOCK)
            drawn = generator.standard_normal((stop - begin, channels), dtype=np.float32)
            samples[image, place, first - columns.start : stop - columns.start] = drawn[first - begin :]
        return torch.from_numpy(samples) * self.temperature
