"""A small transformer over the pixels of a feature map, of any size."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

_LONGEST = 100.0  # slowest rotation: 1 / 100 radian a pixel, as for images in arXiv 2403.13298


class FeatureTransformer(nn.Module):
    """Pre-norm transformer layers over the pixels of features; the identity until it is trained.

    Positions are rotations of queries and keys (arXiv 2104.09864): half of a head's channels by the
    pixel's row, half by its column, so that attention sees how far pixels lie apart, on maps of any size.

    Args:
        channels: of the features.
        head_width: channels of one attention head; divides `channels`, a multiple of 4.
        layers: how many.
    """

    def __init__(self, channels: int, head_width: int, layers: int) -> None:
        super().__init__()
        self.head_width = head_width
        self.layers = nn.ModuleList(_Layer(channels, head_width) for _ in range(layers))

    def forward(self, features: Tensor) -> Tensor:
        """Features (batch, channels, height, width), transformed; same shape."""
        angles = position_angles(features.shape[-2], features.shape[-1], self.head_width, features.device)
        tokens = features.flatten(2).transpose(1, 2)  # (batch, height * width, channels)
        for layer in self.layers:
            tokens = layer(tokens, angles)
        return tokens.transpose(1, 2).reshape(features.shape)


class _Layer(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x)); what is added to x is zero at first."""

    def __init__(self, channels: int, head_width: int) -> None:
        super().__init__()
        self.head_width = head_width
        self.attention_norm = nn.LayerNorm(channels)
        self.queries_keys_values = nn.Linear(channels, 3 * channels)
        self.attention_output = nn.Linear(channels, channels)
        self.mlp_norm = nn.LayerNorm(channels)
        self.mlp_hidden = nn.Linear(channels, 4 * channels)
        self.mlp_output = nn.Linear(4 * channels, channels)
        for output in (self.attention_output, self.mlp_output):
            nn.init.zeros_(output.weight)
            nn.init.zeros_(output.bias)

    def forward(self, tokens: Tensor, angles: Tensor) -> Tensor:
        """Tokens (batch, tokens, channels) at positions (tokens, head_width / 2)."""
        tokens = tokens + self._attend(self.attention_norm(tokens), angles)
        hidden = functional.gelu(self.mlp_hidden(self.mlp_norm(tokens)))
        return tokens + self.mlp_output(hidden)

    def _attend(self, tokens: Tensor, angles: Tensor) -> Tensor:
        heads = self.queries_keys_values(tokens).unflatten(2, (3, -1, self.head_width))
        queries, keys, values = heads.permute(2, 0, 3, 1, 4)  # each (batch, heads, tokens, head_width)
        attended = functional.scaled_dot_product_attention(
            rotate(queries, angles), rotate(keys, angles), values
        )  # (batch, heads, tokens, head_width)
        return self.attention_output(attended.transpose(1, 2).flatten(2))


def position_angles(height: int, width: int, head_width: int, device: torch.device | None = None) -> Tensor:
    """Rotations, in radians, of the pixels of a map, row by row: shape (height * width, head_width / 2).

    The first half turns with the row, the second with the column, each at head_width / 4 speeds from 1
    down to nearly 1 / 100 radian a pixel.
    """
    count = head_width // 4
    speeds = _LONGEST ** (-torch.arange(count, device=device) / count)
    rows = torch.arange(height, device=device)[:, None, None] * speeds  # (height, 1, count)
    columns = torch.arange(width, device=device)[:, None] * speeds  # (width, count)
    return torch.cat(
        [rows.expand(height, width, count), columns.expand(height, width, count)], dim=-1
    ).flatten(0, 1)


def rotate(heads: Tensor, angles: Tensor) -> Tensor:
    """Turn the pairs (i, i + head_width / 2) of vectors (..., tokens, head_width) by a position's angles."""
    first, second = heads.float().chunk(2, dim=-1)
    cosine, sine = angles.cos(), angles.sin()
    turned = [first * cosine - second * sine, first * sine + second * cosine]
    return torch.cat(turned, dim=-1).to(heads.dtype)
