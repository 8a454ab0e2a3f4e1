import pytest
import torch

from arbiscale.config.autoencoder import DiscriminatorSettings
from arbiscale.networks.discriminator import PatchDiscriminator


@pytest.mark.parametrize(("layers", "logits"), [(1, (8, 12)), (2, (4, 6)), (3, (2, 3))])
def test_each_layer_halves_the_rows_and_columns_of_patches(layers: int, logits: tuple[int, int]) -> None:
    discriminator = PatchDiscriminator(DiscriminatorSettings(width=8, layers=layers, start_step=0))
    assert discriminator(torch.rand(2, 3, 16, 24)).shape == (2, 1, *logits)


def test_images_of_a_batch_do_not_mix() -> None:
    torch.manual_seed(0)
    discriminator = PatchDiscriminator(DiscriminatorSettings(width=8, layers=2, start_step=0))
    images = torch.rand(2, 3, 16, 16)
    torch.testing.assert_close(discriminator(images)[:1], discriminator(images[:1]))
