import numpy as np
import pytest
import torch

from arbiscale.imaging.pixels import to_array, to_tensor


@pytest.mark.parametrize("bits", [8, 16])
def test_every_sample_survives_the_way_there_and_back(bits: int) -> None:
    samples = np.arange(2**bits, dtype=np.uint8 if bits == 8 else np.uint16).reshape(-1, 16, 1)
    np.testing.assert_array_equal(to_array(to_tensor(samples), bits), samples)
    assert to_tensor(samples).min() == -1
    assert to_tensor(samples).max() == 1


def test_channels_rows_and_columns_keep_their_places() -> None:
    picture = np.zeros((2, 3, 3), dtype=np.uint8)
    picture[1, 2, 0] = 255
    assert (to_tensor(picture) == 1).nonzero().tolist() == [[0, 0, 1, 2]]


def test_what_is_out_of_range_is_clamped_and_the_rest_rounded() -> None:
    level = 1 / 127.5
    values = torch.tensor([-7.0, -1 + 0.4 * level, -1 + 0.6 * level, 3.0]).expand(3, 1, 4)
    assert to_array(values)[0, :, 0].tolist() == [0, 0, 1, 255]


def test_the_picture_given_is_neither_changed_nor_shared() -> None:
    picture = np.full((4, 5, 3), 9, dtype=np.uint8)
    picture.flags.writeable = False
    flipped = to_tensor(picture[::-1, ::-1])
    flipped.zero_()
    assert (picture == 9).all()


def test_gradients_and_half_precision_are_no_obstacle() -> None:
    drawn = torch.zeros(1, 3, 2, 2, requires_grad=True)
    assert to_array(drawn).tolist() == to_array(drawn.to(torch.bfloat16)).tolist() == [[[128] * 3] * 2] * 2


@pytest.mark.parametrize("pixels", [np.zeros((4, 4, 3)), np.zeros((4, 4), np.uint8)], ids=["float", "grey"])
def test_other_arrays_are_refused(pixels: np.ndarray) -> None:
    with pytest.raises(ValueError, match="expected pixels"):
        to_tensor(pixels)


def test_only_one_picture_at_a_time() -> None:
    with pytest.raises(ValueError, match="unpack"):
        to_array(torch.zeros(2, 3, 4, 4))
