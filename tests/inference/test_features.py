import pytest
import torch
from torch.testing import assert_close

from arbiscale.inference import features
from arbiscale.inference.features import FeatureStrips, FeatureTiles, WholeFeatures, make_features
from arbiscale.inference.tiles import Tiling

LATENT = torch.randn(1, 4, 90, 50, generator=torch.Generator().manual_seed(0))


def decode(latent: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.avg_pool2d(latent, 3, stride=1, padding=1)


@pytest.mark.parametrize("step", [1, 7, 40, 90])
def test_strips_are_the_whole_read_downwards(step: int) -> None:
    strips = FeatureStrips(LATENT, decode, Tiling(32, 8))
    for start in range(0, 90, step):
        first = max(0, start - 2)  # neighbouring bands read some rows twice
        stop = min(90, start + step)
        assert_close(strips.rows(first, stop), decode(LATENT)[..., first:stop, :])


def test_only_what_is_needed_is_computed_and_held() -> None:
    seen = []

    def counted(latent: torch.Tensor) -> torch.Tensor:
        seen.append(latent.shape[-2:])
        return decode(latent)

    strips = FeatureStrips(LATENT, counted, Tiling(32, 8))
    assert_close(strips.rows(80, 90), decode(LATENT)[..., 80:90, :])
    assert seen == [(29, 29)] * 2  # the last row of tiles
    with pytest.raises(ValueError, match="row 3 is gone"):
        strips.rows(3, 5)


def test_whole_where_it_fits() -> None:
    assert isinstance(make_features(LATENT, decode, None), WholeFeatures)
    assert isinstance(make_features(LATENT, decode, Tiling(90, 8)), WholeFeatures)
    assert isinstance(make_features(LATENT, decode, Tiling(64, 8)), FeatureStrips)


def test_rows_of_tiles_are_shorter_where_the_picture_is_wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(features, "_STRIP_BYTES", 4 * 3 * LATENT.shape[-1] * 33)
    heights = []

    def decode(part: torch.Tensor) -> torch.Tensor:
        heights.append(part.shape[-2])
        return part[:, :3]

    strips = make_features(LATENT, decode, Tiling(40, 8))
    found = strips.rows(0, LATENT.shape[-2])
    torch.testing.assert_close(found, LATENT[:, :3])
    assert max(heights[1:]) <= 33


def test_tiles_are_the_strips_to_the_bit_computed_where_they_are_read() -> None:
    expected = FeatureStrips(LATENT, decode, Tiling(32, 8)).rows(0, 90)
    seen = []

    def counted(latent: torch.Tensor) -> torch.Tensor:
        seen.append(latent.shape[-2:])
        return decode(latent)

    tiles = FeatureTiles(FeatureStrips(LATENT, counted, Tiling(32, 8)))
    for _ in range(2):
        assert torch.equal(tiles.part((70, 3, 15, 9)), expected[..., 70:85, 3:12])
    assert len(seen) == 1
    assert torch.equal(tiles.part((0, 0, 90, 50)), expected)


def test_the_oldest_tiles_are_forgotten() -> None:
    strips = FeatureStrips(LATENT, decode, Tiling(32, 8))
    tiles = FeatureTiles(strips, budget=3 * 4 * 4 * 32 * 32)
    assert torch.equal(tiles.part((0, 0, 90, 50)), FeatureStrips(LATENT, decode, Tiling(32, 8)).rows(0, 90))
    assert len(tiles._kept) <= 4
