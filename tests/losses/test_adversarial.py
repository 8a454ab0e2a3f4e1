import pytest
import torch
from torch import Tensor, nn

from arbiscale.config.autoencoder import DiscriminatorSettings
from arbiscale.losses.adversarial import PatchDiscriminator, discriminator_loss, generator_loss


@pytest.fixture
def discriminator() -> nn.Module:
    torch.manual_seed(0)
    return nn.Conv2d(3, 1, 1)


def images(requires_grad: bool = False) -> Tensor:
    return torch.rand(2, 3, 4, 4).requires_grad_(requires_grad)


class Constant(nn.Module):
    """Answers a value to every patch."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.tensor(value))

    def forward(self, image: Tensor) -> Tensor:
        return self.value.expand(len(image), 1, 2, 2)


@pytest.mark.parametrize("value", [-2.0, -0.5, 0.0, 0.5, 2.0])
def test_hinges_in_closed_form(value: float) -> None:
    discriminator = Constant(value)
    assert generator_loss(discriminator, images()).item() == -value
    expected = 0.5 * (max(0.0, 1 - value) + max(0.0, 1 + value))
    assert discriminator_loss(discriminator, images(), images()).item() == expected


def test_the_generators_loss_moves_the_images_only(discriminator: nn.Module) -> None:
    drawn = images(requires_grad=True)
    generator_loss(discriminator, drawn).backward()
    assert drawn.grad is not None
    assert drawn.grad.any()
    assert all(parameter.grad is None for parameter in discriminator.parameters())
    assert all(parameter.requires_grad for parameter in discriminator.parameters())


def test_the_discriminators_loss_moves_the_discriminator_only(discriminator: nn.Module) -> None:
    drawn = images(requires_grad=True)
    discriminator_loss(discriminator, images(), drawn).backward()
    assert drawn.grad is None
    assert all(parameter.grad is not None for parameter in discriminator.parameters())


def test_learning_to_tell_lowers_the_loss(discriminator: nn.Module) -> None:
    real, drawn = torch.full((2, 3, 4, 4), 0.5), torch.full((2, 3, 4, 4), -0.5)
    optimizer = torch.optim.SGD(discriminator.parameters(), lr=0.5)
    for _ in range(20):
        optimizer.zero_grad()
        loss = discriminator_loss(discriminator, real, drawn)
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.1
    assert discriminator(real).mean() > 0 > discriminator(drawn).mean()


@pytest.mark.parametrize(("layers", "logits"), [(1, (8, 12)), (2, (4, 6)), (3, (2, 3))])
def test_each_layer_halves_the_rows_and_columns_of_patches(layers: int, logits: tuple[int, int]) -> None:
    discriminator = PatchDiscriminator(DiscriminatorSettings(width=8, layers=layers, start_step=0))
    assert discriminator(torch.rand(2, 3, 16, 24)).shape == (2, 1, *logits)


def test_images_of_a_batch_do_not_mix() -> None:
    torch.manual_seed(0)
    discriminator = PatchDiscriminator(DiscriminatorSettings(width=8, layers=2, start_step=0))
    images = torch.rand(2, 3, 16, 16)
    torch.testing.assert_close(discriminator(images)[:1], discriminator(images[:1]))


def test_autocast_changes_nothing() -> None:
    discriminator = PatchDiscriminator(DiscriminatorSettings(width=8, layers=2, start_step=0))
    real, drawn = torch.rand(2, 2, 3, 16, 16)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = generator_loss(discriminator, drawn), discriminator_loss(discriminator, real, drawn)
    assert torch.equal(mixed[0], generator_loss(discriminator, drawn))
    assert torch.equal(mixed[1], discriminator_loss(discriminator, real, drawn))
