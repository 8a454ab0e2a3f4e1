"""What a flow head draws from: base samples as a function of seed, size and position."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from torch import Tensor


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

    def base_samples(self, rows: range, columns: range, across: int, channels: int, grid: int = 0) -> Tensor:
        """Base samples of some queries of a grid: the same ones in every region that holds them.

        Each row of the grid has a counter-based generator of its own.

        Args:
            rows: of the queries; numbers from 0 on.
            columns: of the queries, below `across`.
            across: columns of the whole grid.
            channels: of a sample.
            grid: number of the grid, where there are several.

        Returns:
            Shape (seeds, rows, columns, channels), standard deviation `temperature`, float32 on the CPU.
        """
        seeds = self.seed if isinstance(self.seed, tuple) else (self.seed,)
        samples = np.empty((len(seeds), len(rows), len(columns), channels), np.float32)
        for (image, seed), (place, row) in product(enumerate(seeds), enumerate(rows)):
            generator = np.random.Generator(np.random.Philox(key=seed, counter=[0, 0, row, grid]))
            whole = generator.standard_normal((across, channels), dtype=np.float32)
            samples[image, place] = whole[columns.start : columns.stop]
        return torch.from_numpy(samples) * self.temperature
