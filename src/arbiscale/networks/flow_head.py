"""The flow head: Fourier features condition a flow over pixels or patches, which draws texture (LINF)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from arbiscale.imaging.coordinates import AxisNeighbours, Region, Size, axis_neighbours
from arbiscale.networks.flow import ConditionalFlow
from arbiscale.networks.fourier_head import Finish, FourierHead
from arbiscale.networks.local_ensemble import Band, crossing
from arbiscale.networks.texture import Texture

_COLOURS = 3


class FlowHead(FourierHead):
    """A flow over the colours of pixels, or of square patches, conditioned on the Fourier ensemble.

    LINF (arXiv 2303.05156, section 3). Patches lie side by side, which shows as a grid. Blended, the
    drawing is made of as many grids as a patch has rows, each moved by one pixel down and right: every row
    and column of pixels is then equally often a border. Deterministic parts are averaged; deviations are
    added and divided by the root of the number of grids, so their variance stays.

    Args:
        features: channels that it reads.
        width: of the hidden layers.
        layers: hidden layers of the MLP.
        frequencies: of a latent pixel.
        flow_layers: of the flow.
        patch_px: side of a patch; 1 = the flow draws pixels.
        blend_patches: whether borders of patches are blended; as published, they are not.
    """

    def __init__(
        self,
        features: int,
        width: int,
        layers: int,
        frequencies: int,
        flow_layers: int,
        patch_px: int,
        *,
        blend_patches: bool = True,
    ) -> None:
        flow = ConditionalFlow(_COLOURS * patch_px**2, flow_layers)
        super().__init__(features, width, layers, frequencies, flow.condition_channels)
        self.flow = flow
        self.patch_px = patch_px
        self.grids = patch_px if blend_patches else 1
        nn.init.zeros_(self.output.weight)  # draws nothing, at temperature 0, before it is trained
        nn.init.zeros_(self.output.bias)

    def forward(
        self,
        features: Tensor,
        size: Size,
        region: Region,
        *,
        inputs: Size | None = None,
        origin: tuple[int, int] = (0, 0),
        texture: Texture | None = None,
    ) -> Tensor:
        """Colours of a region, drawn as `texture` says; see `LocalEnsembleHead.forward`."""
        inputs = inputs or (features.shape[-2], features.shape[-1])
        texture = texture or Texture()
        grids = range(self.grids)
        drawn = [self._grid(features, size, region, inputs, origin, texture, grid) for grid in grids]
        if self.grids == 1:
            return drawn[0]
        total = torch.stack(drawn).sum(0)  # (batch, 3 or 6, *region size)
        mean, *deviation = total.split(_COLOURS, dim=1)
        return mean / self.grids + sum(each / math.sqrt(self.grids) for each in deviation)

    def rows_read(self, start: int, count: int, outputs: int, inputs: int) -> tuple[int, int]:
        """As for every head; a patch reads around its centre."""
        reach = self.patch_px - 1
        return super().rows_read(start - reach, count + 2 * reach, outputs, inputs)

    def log_likelihood(self, features: Tensor, size: Size, region: Region, values: Tensor) -> Tensor:
        """The log-density of each patch of a region's values, in nats.

        Args:
            features: shape (batch, features, height, width).
            size: (height, width) of the whole output.
            region: (top, left, height, width); patches begin at its corner, so sides are multiples of theirs.
            values: what `forward` would draw of the region, shape (batch, 3, *region size).

        Returns:
            Shape (batch, rows of patches, columns of patches).

        Raises:
            ValueError: sides that are no multiples of a patch's.
        """

        def density(outputs: Tensor, patches: Tensor | None) -> Tensor:
            assert patches is not None
            return self.flow(patches, outputs)[1][:, None]

        return self._judge(features, size, region, values, density)[..., 0]

    def mean_and_likelihood(
        self, features: Tensor, size: Size, region: Region, values: Tensor
    ) -> tuple[Tensor, Tensor]:
        """`forward` at temperature 0, (batch, 3, *region size), and `log_likelihood`.

        Where patches are not blended, one evaluation gives both; patches begin at the region's corner then.
        """
        if self.grids > 1:
            return self(features, size, region), self.log_likelihood(features, size, region, values)
        inverted = self.flow.invert()

        def both(outputs: Tensor, patches: Tensor | None) -> Tensor:
            assert patches is not None
            mean = self.flow.inverse(torch.zeros_like(patches), outputs, inverted)
            return torch.cat([mean, self.flow(patches, outputs)[1][:, None]], dim=1)

        judged = self._judge(features, size, region, values, both)
        return self.image(judged[..., :-1]), judged[..., -1]

    def patches(self, image: Tensor) -> Tensor:
        """Images (batch, 3, rows * p, columns * p) as patches (batch, rows, columns, 3 * p * p)."""
        side = self.patch_px
        return image.unflatten(3, (-1, side)).unflatten(2, (-1, side)).permute(0, 2, 4, 1, 3, 5).flatten(3)

    def image(self, patches: Tensor) -> Tensor:
        """Patches (batch, rows, columns, n * p * p) as images (batch, n, rows * p, columns * p)."""
        side = self.patch_px
        return patches.unflatten(3, (-1, side, side)).permute(0, 3, 1, 4, 2, 5).flatten(4, 5).flatten(2, 3)

    def _judge(self, features: Tensor, size: Size, region: Region, values: Tensor, finish: Finish) -> Tensor:
        """What `finish` makes of outputs and patches of values, (batch, rows, columns, n)."""
        top, left, height, width = region
        if height % self.patch_px or width % self.patch_px:
            raise ValueError(f"{height}x{width} px are no multiple of patches of {self.patch_px} px")
        rows = self._axis(size[0], features.shape[-2], top, height // self.patch_px)
        columns = self._axis(size[1], features.shape[-1], left, width // self.patch_px)
        patches = self.patches(values)  # (batch, rows, columns, dimensions)
        bands = [
            self._at(band, patches[:, band.at].flatten(0, 2), finish).view(*band.shape, -1)
            for band in self.cut(features, rows, columns)
        ]
        return torch.cat(bands, dim=1)

    def _grid(
        self,
        features: Tensor,
        size: Size,
        region: Region,
        inputs: Size,
        origin: tuple[int, int],
        texture: Texture,
        grid: int,
    ) -> Tensor:
        """A region drawn on the grid of patches that begins `grid` pixels above and left of the output.

        Returns:
            Shape (batch, 3, *region size); where several grids are blended at a temperature above 0, the
            deterministic part and the deviation from it, (batch, 6, *region size).
        """
        side, (top, left, height, width) = self.patch_px, region
        first = ((top + grid) // side, (left + grid) // side)
        behind = ((top + height - 1 + grid) // side + 1, (left + width - 1 + grid) // side + 1)
        corner = (first[0] * side - grid, first[1] * side - grid)  # of the first patch
        rows, columns = (
            self._axis(size[axis], inputs[axis], corner[axis], behind[axis] - first[axis]).moved(origin[axis])
            for axis in (0, 1)
        )
        inverted = self.flow.invert()

        def draw(outputs: Tensor, sample: Tensor | None) -> Tensor:
            if sample is not None and self.grids == 1:
                return self.flow.inverse(sample, outputs, inverted)
            zeros = outputs.new_zeros(len(outputs), self.flow.dimensions)
            mean = self.flow.inverse(zeros, outputs, inverted)
            if sample is None:
                return mean
            return torch.cat([mean, self.flow.inverse(sample, outputs, inverted) - mean], dim=1)

        bands = []
        for band in self.cut(features, rows, columns):
            sample = None
            if texture.temperature:
                numbers = range(first[0] + band.at.start, first[0] + band.at.stop)
                dimensions = self.flow.dimensions
                drawn_from = texture.base_samples(numbers, range(first[1], behind[1]), dimensions, grid)
                sample = drawn_from.expand(len(features), -1, -1, -1).flatten(0, 2).to(features.device)
            bands.append(self._at(band, sample, draw).view(*band.shape, -1))
        drawn = self.image(torch.cat(bands, dim=1))
        y, x = top - corner[0], left - corner[1]
        return drawn[..., y : y + height, x : x + width]

    def _axis(self, outputs: int, inputs: int, start: int, count: int) -> AxisNeighbours:
        """Neighbours of the centres of `count` patches along an axis; the first patch begins at `start`."""
        return axis_neighbours(outputs, inputs, start + self.patch_px // 2, count, step=self.patch_px)

    def _at(self, band: Band, given: Tensor | None, finish: Finish) -> Tensor:
        cell = (band.rows.cell, band.columns.cell)
        queries = crossing(band)
        return self.at(band.features, *queries, cell, given=given, finish=finish, learning=band.learning)
