"""Pictures kept to look at."""

import numpy as np
import torch

from arbiscale.evaluation.exhibits import EXHIBITED_PX, Exhibit
from arbiscale.evaluation.pairs import Pairs
from arbiscale.imaging.pixels import to_array, to_tensor
from arbiscale.imaging.resize import resize
from tests.stand_ins import texture


def exhibited(side_px: int) -> tuple[torch.Tensor, dict[str, np.ndarray]]:
    """A truth of this side, and what an exhibit keeps of it and of its negative, the only row."""
    truth = to_tensor(texture(side_px, 0))
    pairs = Pairs(["p"], truth, resize(truth, (side_px // 4, side_px // 4)))
    exhibit = Exhibit(pairs, 0)
    exhibit.add("negative", -truth, {"psnr": [12.0]})
    comparison = exhibit.finished()
    assert comparison.metrics == {"negative": {"psnr": 12.0}}
    return truth, comparison.pictures


def test_small_pictures_are_kept_whole() -> None:
    truth, pictures = exhibited(64)
    assert list(pictures) == ["low resolution", "negative", "ground truth"]
    assert np.array_equal(pictures["ground truth"], to_array(truth))
    assert np.array_equal(pictures["negative"], to_array(-truth))
    low = pictures["low resolution"]
    assert np.array_equal(low[::4, ::4].repeat(4, axis=0).repeat(4, axis=1), low)


def test_of_large_pictures_every_row_keeps_the_same_part() -> None:
    truth, pictures = exhibited(EXHIBITED_PX + 88)
    assert {pixels.shape for pixels in pictures.values()} == {(EXHIBITED_PX, EXHIBITED_PX, 3)}
    whole, part = to_array(truth), pictures["ground truth"]
    places = [
        (top, left)
        for top in range(89)
        for left in range(89)
        if np.array_equal(whole[top : top + 8, left : left + 8], part[:8, :8])
    ]
    assert len(places) == 1
    (top, left) = places[0]
    assert np.array_equal(whole[top : top + EXHIBITED_PX, left : left + EXHIBITED_PX], part)
    negative = to_array(-truth)[top : top + EXHIBITED_PX, left : left + EXHIBITED_PX]
    assert np.array_equal(negative, pictures["negative"])
