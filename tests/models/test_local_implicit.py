"""The network of LIIF: what unfolding reads, and regions."""

import pytest
import torch

from arbiscale.config.autoencoder import HeadSettings
from arbiscale.config.local_implicit import ImageEncoderSettings, LocalImplicitSettings
from arbiscale.models.local_implicit import LocalImplicit, unfold_rows

IMAGE = torch.rand(2, 3, 9, 11, generator=torch.Generator().manual_seed(0)) * 2 - 1


def settings(width: int) -> LocalImplicitSettings:
    """A LIIF's."""
    return LocalImplicitSettings(
        encoder=ImageEncoderSettings(kind="edsr", width=width, blocks=2),
        head=HeadSettings(width=8, layers=2),
        residual=False,
    )


@pytest.fixture(scope="module")
def liif() -> LocalImplicit:
    torch.manual_seed(0)
    return LocalImplicit(settings(4)).eval()


def test_unfolding_reads_the_eight_neighbours_and_zeros_outside() -> None:
    features = torch.arange(1.0, 13.0).view(1, 1, 3, 4)
    unfolded = unfold_rows(features, 0, 3)
    assert unfolded.shape == (1, 9, 3, 4)
    assert unfolded[0, :, 1, 1].tolist() == [1, 2, 3, 5, 6, 7, 9, 10, 11]
    assert unfolded[0, :, 0, 3].tolist() == [0, 0, 0, 3, 4, 0, 7, 8, 0]


@pytest.mark.parametrize(("start", "stop"), [(0, 1), (0, 3), (2, 5), (6, 7), (0, 7)])
def test_rows_are_those_of_the_whole(start: int, stop: int) -> None:
    features = torch.rand(2, 3, 7, 5)
    assert torch.equal(unfold_rows(features, start, stop), unfold_rows(features, 0, 7)[:, :, start:stop])


@torch.no_grad()
def test_features_are_of_the_images_size_and_a_region_is_that_of_the_whole(liif: LocalImplicit) -> None:
    features = liif.encode(IMAGE)
    assert features.shape == (2, 4, 9, 11)
    whole = liif.decode(features, (23, 40))
    assert whole.shape == (2, 3, 23, 40)
    assert torch.equal(liif.decode(features, (23, 40), region=(5, 8, 12, 20)), whole[..., 5:17, 8:28])
    with pytest.raises(ValueError, match="does not lie inside"):
        liif.decode(features, (23, 40), region=(20, 0, 4, 4))
