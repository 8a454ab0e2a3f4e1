"""Flows as learning leaves them, and what they are conditioned on."""

from __future__ import annotations

import torch
from torch import Tensor

from arbiscale.networks.flow import ConditionalFlow


def flow_of(dimensions: int, layers: int = 10, disturbance: float = 0.3, seed: int = 0) -> ConditionalFlow:
    """A flow whose weights are disturbed by a share of their deviation, as learning disturbs them."""
    torch.manual_seed(seed)
    flow = ConditionalFlow(dimensions, layers)
    with torch.no_grad():
        for parameter in flow.parameters():
            deviation = parameter.std() if parameter.ndim > 1 else 0.3
            parameter.add_(torch.randn_like(parameter), alpha=float(disturbance * deviation))
    return flow


def condition_of(flow: ConditionalFlow, count: int, deviation: float = 0.3) -> Tensor:
    return deviation * torch.randn(count, flow.condition_channels)
