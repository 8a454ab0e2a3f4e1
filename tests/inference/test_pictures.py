import io

import numpy as np
import pytest
import torch
from PIL import Image

from arbiscale.errors import UserError
from arbiscale.imaging.picture import Metadata
from arbiscale.imaging.pixels import to_array, to_tensor
from arbiscale.inference.arguments import like, to_picture
from arbiscale.inference.model import Model


def test_a_tensor_is_upscaled_as_a_tensor(upscaler: Model, photo: np.ndarray) -> None:
    tensor = to_tensor(photo)
    drawn = upscaler.upscale(tensor, scale=2.0)
    assert drawn.shape == (1, 3, 112, 144)
    torch.testing.assert_close(upscaler.upscale(tensor[0], scale=2.0), drawn[0])
    assert np.abs(to_array(drawn).astype(int) - upscaler.upscale(photo, scale=2.0)).max() <= 1


def test_a_pillow_image_keeps_what_belongs_to_it(upscaler: Model, photo: np.ndarray) -> None:
    image = Image.fromarray(photo)
    image.putalpha(128)
    image.info["icc_profile"] = b"not a profile"
    drawn = upscaler.upscale(image, size=(60, 70))
    assert (drawn.mode, drawn.size) == ("RGBA", (70, 60))
    assert drawn.getchannel("A").getextrema() == (128, 128)
    assert "icc_profile" not in drawn.info
    grey = Image.fromarray(photo[..., 0].astype(np.uint16) * 257)
    assert upscaler.upscale(grey, scale=2).mode == "I;16"


def test_metadata_of_a_pillow_image(photo: np.ndarray) -> None:
    drawn = like(Image.fromarray(photo), photo, Metadata(b"exif", b"profile"))
    assert (drawn.info["exif"], drawn.info["icc_profile"]) == (b"exif", b"profile")


@pytest.mark.parametrize("channels", [0, 1, 2, 3, 4])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_arrays_of_any_channels(upscaler: Model, photo: np.ndarray, channels: int, kind: type) -> None:
    with_alpha = np.concatenate([photo, photo[..., :1] | 1], 2).astype(kind) * (
        1 if kind == np.uint8 else 257
    )
    picked = {0: 0, 1: [0], 2: [0, 3], 3: [0, 1, 2], 4: [0, 1, 2, 3]}[channels]
    given = with_alpha[..., picked]
    drawn = upscaler.upscale(given, size=(60, 70))
    assert (drawn.shape, drawn.dtype) == ((60, 70, *given.shape[2:]), given.dtype)


@pytest.mark.parametrize("kind", [torch.uint8, torch.float16, torch.float64])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_tensors_keep_their_type(
    upscaler: Model, photo: np.ndarray, channels: int, kind: torch.dtype
) -> None:
    whole = torch.from_numpy(np.concatenate([photo, photo[..., :1]], 2)).permute(2, 0, 1)[:channels]
    given = whole if kind == torch.uint8 else (whole / 127.5 - 1).to(kind)
    drawn = upscaler.upscale(given, scale=2)
    assert (drawn.shape[0], drawn.dtype) == (channels, kind)
    assert drawn.double().std() > 0.1


def test_a_broken_pillow_image_is_a_user_error() -> None:
    stored = io.BytesIO()
    Image.effect_noise((64, 64), 50).save(stored, "PNG")
    truncated = Image.open(io.BytesIO(stored.getvalue()[:-200]))
    closed = Image.open(io.BytesIO(stored.getvalue()))
    closed.close()
    for image in (truncated, closed):
        with pytest.raises(UserError, match=r"the picture: (cannot be decoded|is truncated)"):
            to_picture(image)


@pytest.mark.parametrize(
    ("image", "said"),
    [
        (np.zeros((4, 4, 3)), "must be uint8 or uint16, not float64"),
        (np.zeros((4, 4, 5), np.uint8), r"must have 1 to 4 channels last, not \(4, 4, 5\)"),
        (np.zeros(4, np.uint8), r"must be \(height, width, 1 or 3\), not \(4,\)"),
        (torch.ones(3, 4, 4, dtype=torch.int32), r"a tensor must lie in \[-1, 1\], or be uint8"),
        (np.zeros((0, 4, 3), np.uint8), "must be"),
        ([[1, 2, 3]], "must be uint8 or uint16, not list"),
        (torch.zeros(4, 4), r"must be \(3, height, width\)"),
        (torch.zeros(2, 3, 4, 4), r"must be \(3, height, width\)"),
        (torch.zeros(3, 0, 4), r"must hold pixels, not be \(3, 0, 4\)"),
        (torch.full((3, 4, 4), 255.0), r"a tensor must lie in \[-1, 1\]"),
        (torch.full((3, 4, 4), float("nan")), r"a tensor must lie in \[-1, 1\]"),
    ],
)
def test_what_is_no_picture(image: object, said: str) -> None:
    with pytest.raises(UserError, match=f"the picture: {said}"):
        to_picture(image)


@pytest.mark.parametrize("colour", ["white", "#808080", "black"])
def test_flat_pictures_stay_flat(upscaler: Model, colour: str) -> None:
    image = Image.new("RGB", (24, 20), colour)
    drawn = np.asarray(upscaler.upscale(image, scale=4)).astype(int)
    assert np.abs(drawn - image.getpixel((0, 0))).max() <= 1


def test_hidden_colours_do_not_bleed_into_edges(upscaler: Model) -> None:
    pixels = np.zeros((24, 24, 4), np.uint8)
    pixels[8:16, 8:16] = (250, 240, 60, 255)
    drawn = np.asarray(upscaler.upscale(Image.fromarray(pixels), scale=6)).astype(int)
    seen = drawn[drawn[..., 3] > 20]
    assert len(seen) > 64
    assert np.abs(seen[:, :3] - [250, 240, 60]).max() <= 1
