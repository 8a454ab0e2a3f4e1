"""Training crops as references: their middles, shrunk, each size once."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from arbiscale.evaluation import references
from arbiscale.evaluation.references import References, middle
from arbiscale.imaging.pixels import to_array
from tests.stand_ins import FirstValues, texture


def test_a_crop_at_its_own_size_is_itself() -> None:
    crop = texture(32, 0)
    assert np.array_equal(to_array(middle(crop, (32, 32)) * 2 - 1), crop)


def test_the_middle_is_cut_in_the_sizes_proportions_and_shrunk_as_by_pil() -> None:
    crop = texture(64, 0)
    found = middle(crop, (16, 32))
    expected = Image.fromarray(crop[16:48]).resize((32, 16), Image.Resampling.BICUBIC)
    assert found.shape == (1, 3, 16, 32)
    difference = np.abs((found[0].permute(1, 2, 0) * 255).numpy() - np.asarray(expected))
    assert difference.max() < 2.1  # PIL rounds between its two passes
    assert difference.mean() < 0.5
    assert middle(crop, (33, 20)).shape == (1, 3, 33, 20)


def test_features_are_extracted_once_a_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(references, "FEATURES", 3)
    monkeypatch.setattr(references, "BATCH", 2)
    network = FirstValues(3)
    found = References({(16, 16): [texture(16, seed) for seed in range(5)]}, network)
    assert (found.cover((16, 16)), found.cover((8, 17))) == (True, False)
    features = found.features((16, 16))
    expected = torch.stack([middle(texture(16, seed), (16, 16)).flatten()[:3] for seed in range(5)])
    assert torch.equal(features, expected)
    assert found.features((16, 16)) is features
    assert network.images == 5


def test_of_very_many_crops_some_are_taken_evenly_spread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(references, "FEATURES", 1)
    monkeypatch.setattr(references, "MOST_CROPS", 3)
    crops = [np.full((4, 4, 3), number, np.uint8) for number in range(9)]
    found = References({(4, 4): crops}, FirstValues(1))
    assert found.count((4, 4)) == 3
    assert (found.features((4, 4)) * 255).round().flatten().tolist() == [0, 4, 8]


def test_pictures_are_compared_with_crops_of_their_proportions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(references, "FEATURES", 3)
    squares = [texture(16, seed) for seed in range(2)]
    wide = [texture(32, seed)[:16] for seed in range(5, 8)]  # (16, 32, 3)
    found = References({(16, 16): squares, (16, 32): wide}, FirstValues(3))
    assert [found.count(size) for size in ((8, 8), (8, 16), (9, 12))] == [2, 3, 2]
    assert (found.cover((16, 32)), found.cover((17, 32)), found.cover((16, 33))) == (True, False, False)
    expected = torch.stack([middle(each, (8, 16)).flatten()[:3] for each in wide])
    assert torch.equal(found.features((8, 16)), expected)


def test_the_middle_of_a_crop_that_is_no_square() -> None:
    wide = texture(64, 0)[:40]  # (40, 64, 3)
    assert np.array_equal(to_array(middle(wide, (40, 64)) * 2 - 1), wide)
    assert torch.equal(middle(wide, (20, 20)), middle(wide[:, 12:52], (20, 20)))
    assert torch.equal(middle(wide, (16, 32)), middle(wide[4:36], (16, 32)))
