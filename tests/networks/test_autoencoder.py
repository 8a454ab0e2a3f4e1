from collections.abc import Callable

import pytest
import torch
from torch.testing import assert_close

from arbiscale.config.autoencoder import AutoencoderNetworkSettings
from arbiscale.imaging.resize import resize
from arbiscale.networks.autoencoder import Autoencoder

Settings = Callable[..., AutoencoderNetworkSettings]

LEVEL = {"width": 8, "multipliers": [1], "blocks": 1, "attention": False}
ENCODERS = [
    ({"unshuffle": 4, **LEVEL}, 4),
    ({"unshuffle": 1, **LEVEL, "multipliers": [1, 2, 2]}, 4),
    ({"unshuffle": 2, **LEVEL, "multipliers": [1, 2, 1, 2]}, 16),
    ({"unshuffle": 3, **LEVEL}, 3),
    ({"unshuffle": 1, **LEVEL}, 1),
]


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.mark.parametrize(("encoder", "downsampling"), ENCODERS)
def test_latents_are_smaller_by_the_downsampling(
    network_settings: Settings, encoder: dict[str, object], downsampling: int
) -> None:
    autoencoder = Autoencoder(network_settings(encoder=encoder))
    assert autoencoder.downsampling == downsampling
    latent = autoencoder.encode(torch.rand(2, 3, 3 * downsampling, 2 * downsampling)).mode()
    assert latent.shape == (2, 4, 3, 2)


@torch.no_grad()
@pytest.mark.parametrize("multipliers", [[1], [1, 2], [1, 2, 4]])
def test_features_stay_at_the_latents_resolution(network_settings: Settings, multipliers: list[int]) -> None:
    settings = network_settings(decoder={**LEVEL, "multipliers": multipliers}, residual=False)
    autoencoder = Autoencoder(settings)
    assert autoencoder.decoder.features(torch.rand(2, 4, 5, 7), None).shape == (2, 8, 5, 7)
    assert autoencoder.decode(torch.rand(2, 4, 5, 7), (11, 9)).shape == (2, 3, 11, 9)


@torch.no_grad()
@pytest.mark.parametrize("size", [(1, 1), (5, 7), (4, 31), (40, 3)])
def test_one_latent_draws_any_size(network_settings: Settings, size: tuple[int, int]) -> None:
    autoencoder = Autoencoder(network_settings(residual=False))
    assert autoencoder.decode(torch.rand(1, 4, 5, 7), size).shape == (1, 3, *size)


def test_attention_is_there_where_asked_for(network_settings: Settings) -> None:
    def parameters(**changes: object) -> list[str]:
        return [name for name, _ in Autoencoder(network_settings(**changes)).named_parameters()]

    assert not any("attention" in name for name in parameters())
    encoder, decoder = {"unshuffle": 4, **LEVEL, "attention": True}, {**LEVEL, "attention": True}
    assert {name.split(".")[0] for name in parameters(encoder=encoder) if "attention" in name} == {"encoder"}
    assert {name.split(".")[0] for name in parameters(decoder=decoder) if "attention" in name} == {"decoder"}
    everywhere = Autoencoder(network_settings(encoder=encoder, decoder=decoder, residual=False))
    assert everywhere.decode(everywhere.encode(torch.rand(1, 3, 8, 12)).mode(), (9, 9)).shape == (1, 3, 9, 9)


@torch.no_grad()
def test_a_deterministic_encoder_gives_a_point(network_settings: Settings) -> None:
    posterior = Autoencoder(network_settings(posterior="deterministic")).encode(torch.rand(2, 3, 8, 8))
    assert posterior.logvar is None
    assert torch.equal(posterior.sample(), posterior.mode())


@torch.no_grad()
def test_a_gaussian_encoder_gives_mean_and_variance(network_settings: Settings) -> None:
    posterior = Autoencoder(network_settings(posterior="gaussian")).encode(torch.rand(2, 3, 8, 8))
    assert posterior.logvar is not None
    assert posterior.mode().shape == posterior.logvar.shape == posterior.sample().shape == (2, 4, 2, 2)
    assert not torch.equal(posterior.sample(), posterior.mode())


def test_a_residual_decoder_starts_as_its_base_and_learns_from_there(network_settings: Settings) -> None:
    autoencoder = Autoencoder(network_settings(residual=True))
    low = torch.rand(2, 3, 5, 7)
    drawn = autoencoder.decode(torch.rand(2, 4, 5, 7), (9, 13), low=low)
    assert torch.equal(drawn, resize(low, (9, 13), "bicubic"))
    (drawn - 1).square().sum().backward()
    gradient = autoencoder.decoder.head.output.weight.grad
    assert gradient is not None
    assert gradient.any()


def test_any_other_decoder_starts_by_drawing(network_settings: Settings) -> None:
    assert Autoencoder(network_settings(residual=False)).decode(torch.rand(1, 4, 5, 7), (9, 13)).any()


@torch.no_grad()
@pytest.mark.parametrize("blocks", [0, 2])
def test_a_region_is_that_part_of_the_whole(network_settings: Settings, blocks: int) -> None:
    autoencoder = Autoencoder(network_settings(residual=True, branch={"width": 8, "blocks": blocks}))
    torch.nn.init.normal_(autoencoder.decoder.head.output.weight)
    latent, low = torch.rand(1, 4, 5, 7), torch.rand(1, 3, 5, 7)
    whole = autoencoder.decode(latent, (20, 30), low=low)[..., 3:13, 4:24]
    part = autoencoder.decode(latent, (20, 30), region=(3, 4, 10, 20), low=low)
    assert_close(part, whole, atol=1e-6, rtol=0)


@pytest.mark.parametrize("part", [{"residual": True}, {"branch": {"width": 8, "blocks": 1}}])
def test_the_image_is_given_exactly_where_it_is_read(
    network_settings: Settings, part: dict[str, object]
) -> None:
    latent, low = torch.rand(1, 4, 5, 7), torch.rand(1, 3, 5, 7)
    with pytest.raises(ValueError, match="this decoder needs the low-resolution image"):
        Autoencoder(network_settings(**({"residual": False} | part))).decode(latent, (9, 13))
    with pytest.raises(ValueError, match="there is no use for `low`"):
        Autoencoder(network_settings(residual=False)).decode(latent, (9, 13), low=low)


def with_branch(network_settings: Settings) -> Autoencoder:
    autoencoder = Autoencoder(network_settings(residual=False, branch={"width": 8, "blocks": 2}))
    return autoencoder.requires_grad_(False)


def test_a_branch_draws_without_latent(network_settings: Settings) -> None:
    autoencoder, low = with_branch(network_settings), torch.rand(2, 3, 5, 7)
    known = autoencoder.decode(None, (9, 13), low=low)
    assert known.shape == (2, 3, 9, 13)
    assert known.std() > 0
    assert not torch.equal(known, autoencoder.decode(torch.rand(2, 4, 5, 7), (9, 13), low=low))
    with pytest.raises(ValueError, match="without a branch, nothing can be drawn without a latent"):
        Autoencoder(network_settings(residual=True)).decode(None, (9, 13), low=low)


def test_the_head_reads_the_latents_features_before_the_branchs(network_settings: Settings) -> None:
    decoder, latent, low = (
        with_branch(network_settings).decoder,
        torch.rand(2, 4, 5, 7),
        torch.rand(2, 3, 5, 7),
    )
    features, channels = decoder.features(latent, low), decoder.feature_decoder.out_channels
    assert torch.equal(features[:, :channels], decoder.feature_decoder(latent))
    assert torch.equal(features[:, channels:], decoder.branch(low))
    assert not decoder.features(None, low)[:, :channels].any()


def test_a_region_must_lie_inside_the_output(network_settings: Settings) -> None:
    with pytest.raises(ValueError, match="does not lie inside an output of 9x13 px"):
        Autoencoder(network_settings(residual=False)).decode(
            torch.rand(1, 4, 5, 7), (9, 13), region=(0, 5, 9, 9)
        )
