"""One latent at many sizes, whole or in tiles and bands."""

import numpy as np
import pytest
import torch

from arbiscale.errors import UserError
from arbiscale.imaging.kernels import resize_region
from arbiscale.imaging.picture import Picture
from arbiscale.imaging.pixels import to_array, to_tensor
from arbiscale.inference import decoding as decoding_module
from arbiscale.inference.latent_model import LatentModel


def test_drawn_is_what_the_model_decodes(upscaler: LatentModel, photo: np.ndarray) -> None:
    low_resolution = to_tensor(photo)
    latent = upscaler.sample_latents(low_resolution, seed=3)
    expected = to_array(upscaler.decode(latent, (99, 200), low_resolution=low_resolution))
    drawn = upscaler.sample(photo, seed=3).draw((99, 200))
    difference = np.abs(drawn.astype(int) - expected)
    assert difference.max() <= 1  # rounding at one half
    assert (difference > 0).mean() < 1e-3


@pytest.mark.parametrize("tile", ["none", 32])
@pytest.mark.parametrize("size", [(99, 200), (56, 72), (30, 40), (1, 1)])
def test_bands_do_not_change_a_pixel(
    upscaler: LatentModel,
    photo: np.ndarray,
    monkeypatch: pytest.MonkeyPatch,
    size: tuple[int, int],
    tile: str | int,
) -> None:
    drawing = upscaler.sample(photo, tile=tile)
    whole = drawing.draw(size)
    monkeypatch.setattr(decoding_module, "_BAND_PIXELS", 5 * size[1])
    bands = list(drawing.bands(size))
    assert len(bands) == -(-size[0] // 5)
    difference = np.abs(np.concatenate(bands).astype(int) - whole)
    assert difference.max() <= 1  # sums of another length may round the other way
    assert (difference > 0).mean() < 1e-3


def test_a_region_is_that_part_of_the_whole(upscaler: LatentModel, photo: np.ndarray) -> None:
    for tile in ("none", 32):
        drawing = upscaler.sample(photo, tile=tile)
        whole = drawing.draw((99, 200)).astype(int)
        part = drawing.region((99, 200), (50, 20, 30, 100))
        assert np.abs(part - whole[50:80, 20:120]).max() <= 1


def test_tiles_leave_no_seams(upscaler: LatentModel) -> None:
    """The error that tiles make is not larger where they meet than elsewhere (by more than 5 %)."""
    y, x = np.mgrid[:128, :128]
    waves = [np.sin(x / 5 + y / 9), np.cos(x / 3 - y / 7), np.sin(x * y / 800)]
    picture = (127.5 + 100 * np.stack(waves, axis=2)).astype(np.uint8)
    size = (303, 303)  # x2.37
    whole = upscaler.sample(picture, tile="none").draw(size).astype(float)
    tiled = upscaler.sample(picture, tile=48).draw(size).astype(float)
    error = np.abs(tiled - whole).mean(axis=2)
    meeting = np.zeros(size[0], bool)
    for centre in (44, 84):  # of the overlaps of tiles at 0, 40 and 80
        meeting[round((centre - 4) * 2.37) : round((centre + 4) * 2.37)] = True
    at_borders = meeting[:, None] | meeting
    assert 0 < error.mean() < 20
    assert error[at_borders].mean() <= 1.05 * error[~at_borders].mean()


def test_tiles_share_the_noise_of_the_whole(upscaler: LatentModel, photo: np.ndarray) -> None:
    one = upscaler.sample(photo, tile=32, seed=1).latent
    assert torch.equal(one, upscaler.sample(photo, tile=32, seed=1).latent)
    assert not torch.equal(one, upscaler.sample(photo, tile=32, seed=2).latent)
    assert one.shape == upscaler.sample(photo, tile="none").latent.shape
    whole = upscaler.sample(photo, tile="none").latent
    torch.testing.assert_close(upscaler.sample(photo, tile=80).latent, whole, atol=1e-4, rtol=0)


def test_alpha_is_the_resized_alpha_whatever_the_latent(upscaler: LatentModel, photo: np.ndarray) -> None:
    alpha = photo[..., 0].clip(1)  # hidden colours are another test
    drawing = upscaler.sample(Picture(photo, alpha))
    drawn = drawing.draw((99, 200))
    assert drawn.shape == (99, 200, 4)
    np.testing.assert_array_equal(drawn[..., :3], upscaler.sample(photo).draw((99, 200)))
    resized = resize_region(to_tensor(alpha[..., None]), (99, 200), (0, 0, 99, 200))
    np.testing.assert_array_equal(drawn[..., 3:], to_array(resized, 8))


def test_without_alpha_transparency_is_white(upscaler: LatentModel, photo: np.ndarray) -> None:
    clear = upscaler.sample(Picture(photo, np.zeros(photo.shape[:2], np.uint8)))
    opaque = upscaler.sample(Picture(photo, np.full(photo.shape[:2], 255, np.uint8)))
    assert all((band == 255).all() for band in clear.bands((60, 60), alpha=False))
    drawn = np.concatenate(list(opaque.bands((60, 60), alpha=False)))
    np.testing.assert_array_equal(drawn, upscaler.sample(photo).draw((60, 60)))


def test_sixteen_bits_are_the_same_picture_finer(upscaler: LatentModel, photo: np.ndarray) -> None:
    deep = upscaler.sample(photo.astype(np.uint16) * 257)
    drawn = deep.draw((99, 200))
    assert drawn.dtype == np.uint16
    assert len(np.unique(drawn % 257)) > 100
    assert np.abs(drawn / 257 - upscaler.sample(photo).draw((99, 200))).max() < 0.502


@pytest.mark.parametrize("tile", ["whole", "", 0, -3, 31, 2.5])
def test_tiles_that_cannot_be(upscaler: LatentModel, photo: np.ndarray, tile: str | int) -> None:
    with pytest.raises(UserError, match="must be auto, none or at least 32 px"):
        upscaler.sample(photo, tile=tile)


def test_tiles_come_by_themselves_where_memory_is_short(
    upscaler: LatentModel, photo: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    from arbiscale.inference import memory

    needed = memory.bytes_per_latent_pixel(upscaler.config)
    assert memory.choose_tiling(upscaler.config, upscaler.device, (512, 512), "auto") is None
    monkeypatch.setattr(memory, "_WORKING_BYTES", 100 * 100 * needed)
    tiling = memory.choose_tiling(upscaler.config, upscaler.device, (512, 512), "auto")
    assert tiling is not None
    assert (tiling.tile_px, tiling.multiple) == (100, 2)
    assert memory.choose_tiling(upscaler.config, upscaler.device, (100, 100), "auto") is None
