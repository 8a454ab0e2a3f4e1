"""Which head draws: `network.head.kind`."""

from __future__ import annotations

from arbiscale.config.autoencoder import HeadSettings
from arbiscale.networks.flow_head import FlowHead
from arbiscale.networks.fourier_head import FourierHead
from arbiscale.networks.implicit_head import ImplicitHead
from arbiscale.networks.local_ensemble import LocalEnsembleHead


def build_head(settings: HeadSettings, features: int) -> LocalEnsembleHead:
    """A head with random weights that reads so many channels."""
    width, layers, frequencies = settings.width, settings.layers, settings.frequencies
    if settings.kind == "liif":
        return ImplicitHead(features, width, layers)
    if settings.kind == "fourier":
        return FourierHead(features, width, layers, frequencies)
    return FlowHead(
        features,
        width,
        layers,
        frequencies,
        settings.flow_layers,
        settings.patch_px,
        blend_patches=settings.blend_patches,
    )
