from typing import Any

import pytest
import torch
from torch.testing import assert_close

from arbiscale.config.diffusion import DenoiserSettings
from arbiscale.networks.denoiser import Denoiser

DEFAULTS: dict[str, Any] = {
    "width": 8,
    "multipliers": [1, 2],
    "blocks": 1,
    "attention_factors": [],
    "middle_attention": False,
    "attention_width": 4,
    "norm_groups": 4,
}


def denoiser(condition_channels: int = 0, **changes: Any) -> Denoiser:
    torch.manual_seed(0)
    return Denoiser(DenoiserSettings(**DEFAULTS | changes), 3, condition_channels).eval()


@torch.no_grad()
@pytest.mark.parametrize("size", [(4, 4), (6, 10), (2, 2), (16, 4)])
def test_predictions_have_the_latents_shape(size: tuple[int, int]) -> None:
    network = denoiser()
    assert network(torch.randn(2, 3, *size), torch.tensor([3, 99])).shape == (2, 3, *size)


@torch.no_grad()
@pytest.mark.parametrize(("multipliers", "downsampling"), [([1], 1), ([1, 2], 2), ([1, 1, 2], 4)])
def test_its_downsampling_is_what_latents_must_be_a_multiple_of(
    multipliers: list[int], downsampling: int
) -> None:
    network = denoiser(multipliers=multipliers)
    assert network.downsampling == downsampling
    latent = torch.randn(1, 3, downsampling, 3 * downsampling)
    assert network(latent, torch.tensor(5)).shape == latent.shape


@torch.no_grad()
def test_the_condition_stands_behind_the_noisy_latent() -> None:
    network = denoiser(condition_channels=5)
    latent, condition, timestep = torch.randn(2, 3, 4, 6), torch.randn(2, 5, 4, 6), torch.tensor([1, 2])
    assert network.network.conv_in.in_channels == 8
    predicted = network(latent, timestep, condition)
    assert predicted.shape == (2, 3, 4, 6)
    both = torch.cat([latent, condition], dim=1)
    assert_close(predicted, network.network(both, timestep).sample)
    assert not torch.allclose(predicted, network(latent, timestep, -condition), atol=1e-4)


@torch.no_grad()
def test_one_timestep_serves_the_batch_and_each_sample_may_have_its_own() -> None:
    network, latent = denoiser(), torch.randn(2, 3, 4, 4)
    same = network(latent, torch.tensor(7))
    assert_close(same, network(latent, torch.tensor([7, 7])))
    own = network(latent, torch.tensor([7, 80]))
    assert_close(own[0], same[0])
    assert not torch.allclose(own[1], same[1], atol=1e-4)


def attentions(network: Denoiser) -> list[str]:
    return sorted(
        name.removeprefix("network.").partition(".attentions.")[0]
        for name, module in network.named_modules()
        if type(module).__name__ == "Attention"
    )


@pytest.mark.parametrize(
    ("factors", "middle", "levels"),
    [
        ([], False, []),
        ([], True, ["mid_block"]),  # the published DF2K network
        ([1], False, ["down_blocks.0", "up_blocks.2", "up_blocks.2"]),  # the way up has one more
        ([4], True, ["down_blocks.2", "mid_block", "up_blocks.0", "up_blocks.0"]),
    ],
)
def test_attention_stands_at_the_listed_factors_and_in_the_middle(
    factors: list[int], middle: bool, levels: list[str]
) -> None:
    network = denoiser(multipliers=[1, 1, 1], attention_factors=factors, middle_attention=middle)
    assert attentions(network) == levels
    assert network(torch.randn(1, 3, 8, 4), torch.tensor(0)).shape == (1, 3, 8, 4)


@torch.no_grad()
def test_heads_are_as_wide_as_asked() -> None:
    for name, module in denoiser(attention_factors=[1, 2], middle_attention=True).named_modules():
        if type(module).__name__ == "Attention":
            width = module.to_q.out_features
            assert module.heads == width // 4, name


@torch.no_grad()
def test_without_attention_it_is_local() -> None:
    network = denoiser()
    for module in network.modules():
        if isinstance(module, torch.nn.GroupNorm):  # the norms' statistics are the only thing global
            module.register_forward_hook(lambda norm, inputs, output: inputs[0])
    latent = torch.randn(1, 3, 64, 64)
    changed = latent.clone()
    changed[..., 0, 0] += 1
    difference = (network(changed, torch.tensor(3)) - network(latent, torch.tensor(3))).abs().sum(1)[0]
    assert difference[0, 0] > 0
    assert not difference[40:].any()
    assert not difference[:, 40:].any()


@pytest.fixture
def trained() -> Denoiser:
    """A denoiser without a transformer whose weights are none of the initial ones."""
    network = denoiser(attention_factors=[2], middle_attention=True)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return network


def upgraded(trained: Denoiser) -> Denoiser:
    """The same with a transformer, started from the weights there are."""
    network = denoiser(attention_factors=[2], middle_attention=True, transformer_layers=2)
    result = network.load_state_dict(trained.state_dict(), strict=False)
    assert not result.unexpected_keys
    assert set(result.missing_keys) == network.missing_allowed
    return network


@torch.no_grad()
@pytest.mark.parametrize("size", [(4, 4), (6, 10), (16, 4)])
def test_a_transformer_added_to_trained_weights_changes_nothing_at_first(
    trained: Denoiser, size: tuple[int, int]
) -> None:
    latent, timestep = torch.randn(2, 3, *size), torch.tensor([3, 99])
    assert torch.equal(upgraded(trained)(latent, timestep), trained(latent, timestep))


@torch.no_grad()
@pytest.mark.parametrize("middle", [False, True])
def test_with_and_without_a_transformer_a_seed_begins_alike(middle: bool) -> None:
    latent, timestep = torch.randn(2, 3, 4, 6), torch.tensor([3, 99])
    without, with_transformer = (
        denoiser(middle_attention=middle, transformer_layers=layers) for layers in (0, 2)
    )
    assert torch.equal(without(latent, timestep), with_transformer(latent, timestep))


def test_what_may_be_missing_is_the_transformer(trained: Denoiser) -> None:
    assert trained.missing_allowed == set()
    network = upgraded(trained)
    assert network.missing_allowed == set(network.state_dict()) - set(trained.state_dict())


def test_the_transformer_learns_from_the_first_step_on(trained: Denoiser) -> None:
    network = upgraded(trained)
    latent, timestep = torch.randn(2, 3, 4, 6), torch.tensor([3, 99])
    before = network(latent, timestep).detach()
    network(latent, timestep).square().sum().backward()
    learning = {
        name for name, each in network.named_parameters() if each.grad is not None and each.grad.any()
    }
    assert {name for name in learning if name in network.missing_allowed} == {
        name for name in network.missing_allowed if "_output." in name
    }
    with torch.no_grad():
        for parameter in network.parameters():
            parameter -= 1e-3 * parameter.grad.sign()
    assert not torch.allclose(network(latent, timestep), before, atol=1e-3)


@torch.no_grad()
def test_with_a_transformer_every_pixel_is_seen() -> None:
    network = denoiser(transformer_layers=1)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    for module in network.modules():
        if isinstance(module, torch.nn.GroupNorm):
            module.register_forward_hook(lambda norm, inputs, output: inputs[0])
    latent = torch.randn(1, 3, 64, 48)
    changed = latent.clone()
    changed[..., 0, 0] += 1
    difference = (network(changed, torch.tensor(3)) - network(latent, torch.tensor(3))).abs().sum(1)[0]
    assert difference[40:, 40:].max() > 1e-6
