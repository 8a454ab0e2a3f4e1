"""How large a tile the available memory allows, and how the C library reuses memory."""

from __future__ import annotations

import ctypes
import sys
from typing import SupportsIndex

import psutil
import torch

from arbiscale.config.local_implicit import ImageEncoderSettings
from arbiscale.errors import UserError
from arbiscale.imaging.coordinates import Size
from arbiscale.inference.tiles import Tiling
from arbiscale.models.folder import ModelConfig

SMALLEST_TILE_PX = 32  # of the latent
_LARGEST_OVERLAP_PX = 32
_WORKING_BYTES = 1 << 29  # that one pass of a network may take
_COPIES = 8  # of the widest activation that live at once in a residual block, measured
_ENCODER_COPIES = 6  # of an image encoder's features, measured
_JOINED_COPIES = 3  # of what the layers of a dense block read together, measured


def choose_tiling(
    config: ModelConfig, device: torch.device, latent_size: Size, tile: str | int
) -> Tiling | None:
    """How a latent of (height, width) pixels is cut; None = not at all.

    Args:
        config: of the model whose networks' memory counts.
        device: where it runs.
        latent_size: before padding.
        tile: `auto` (as large as memory allows; untiled where everything fits), `none`, or the side of a
            tile in pixels of the picture to upscale.

    Raises:
        UserError: a tile too small for its overlap, or another word.
    """
    multiple = config.diffusion.denoiser.downsampling if config.diffusion else 1
    per_pixel = config.factor // config.autoencoder.encoder.downsampling
    needed = bytes_per_latent_pixel(config)
    return fit_tiling(device, latent_size, tile, needed, multiple=multiple, per_pixel=per_pixel)


def fit_tiling(
    device: torch.device,
    latent_size: Size,
    tile: str | int,
    bytes_per_pixel: int,
    *,
    multiple: int = 1,
    per_pixel: int = 1,
) -> Tiling | None:
    """The same for a network that needs so many bytes for a latent pixel.

    Args:
        device: whose memory counts.
        latent_size: before padding.
        tile: as in `choose_tiling`.
        bytes_per_pixel: of the latent.
        multiple: of which tiles are.
        per_pixel: latent pixels per pixel of the picture, along one axis.
    """
    if tile == "none":
        return None
    if tile == "auto":
        pixels = _free_bytes(device) // bytes_per_pixel
        if latent_size[0] * latent_size[1] <= pixels:
            return None
        tile_px = max(2 * _LARGEST_OVERLAP_PX, int(pixels**0.5)) // multiple * multiple
    else:
        least = -(-max(SMALLEST_TILE_PX, 4 * multiple) // per_pixel)
        if not isinstance(tile, SupportsIndex) or int(tile) < least:
            raise UserError(f"tile {tile}: must be auto, none or at least {least} px with this model")
        tile_px = int(tile) * per_pixel // multiple * multiple
    return Tiling(tile_px, min(_LARGEST_OVERLAP_PX, tile_px // 4), multiple)


def bytes_per_latent_pixel(config: ModelConfig) -> int:
    """What the most demanding network needs for one latent pixel, in float32."""
    encoder, decoder = config.autoencoder.encoder, config.autoencoder.decoder
    finest = len(encoder.multipliers) - 1
    samples = [
        _COPIES * encoder.width * multiplier * 4 ** (finest - level)
        for level, multiplier in enumerate(encoder.multipliers)
    ]
    samples.append(_COPIES * decoder.width * max(decoder.multipliers))
    if config.diffusion is not None:
        denoiser = config.diffusion.denoiser
        levels = [denoiser.width * each / 4**level for level, each in enumerate(denoiser.multipliers)]
        skipped = (denoiser.blocks + 2) * sum(levels)
        samples.append(round(skipped + _COPIES * 2 * max(levels)))  # joined with what was skipped
    return 4 * max(samples)


def bytes_per_encoded_pixel(encoder: ImageEncoderSettings) -> int:
    """What an encoder without upsampling needs for one pixel, in float32."""
    samples = _ENCODER_COPIES * encoder.width
    if encoder.kind == "rrdb":
        samples += _JOINED_COPIES * (encoder.width + 4 * encoder.growth)
    return 4 * samples


def _free_bytes(device: torch.device) -> int:
    """Memory that one pass may take: half of what is free; on the CPU at most 512 MiB."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0]) // 2
    return int(min(_WORKING_BYTES, psutil.virtual_memory().available // 2))


_TRIM_THRESHOLD, _MAP_THRESHOLD = -1, -3  # of mallopt(3)
_LARGEST_KEPT_BYTES = 1 << 28  # an activation
_KEPT_BYTES = 1 << 29


def configure_malloc() -> None:
    """Have glibc's malloc reuse up to 512 MiB of freed memory; other allocators are left as they are.

    By default it returns every activation's memory to the system and gets zeroed pages for the next one.
    These page faults take about a tenth of the time of upscaling a picture of 128 px.
    """
    adjust = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if adjust is not None:
        adjust(_MAP_THRESHOLD, _LARGEST_KEPT_BYTES)
        adjust(_TRIM_THRESHOLD, _KEPT_BYTES)


def release_memory() -> None:
    """Give memory that is kept for reuse back to the system: others, such as encoders, cannot use it."""
    release = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if release is not None:
        release(0)
