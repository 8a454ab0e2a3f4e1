from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from arbiscale.config.autoencoder import AutoencoderNetworkSettings
from arbiscale.imaging.resize import condition_image, resize, shrink
from arbiscale.models.latent_space import (
    ImagePair,
    LatentSpace,
    LatentStatistics,
    make_pair,
    measure_statistics,
)
from arbiscale.networks.autoencoder import Autoencoder
from arbiscale.networks.encoder import Posterior

STATISTICS = LatentStatistics(shift=[0.5, -1.0, 0.0, 2.0], scale=[2.0, 0.25, 1.0, 4.0])


@pytest.fixture
def images() -> Tensor:
    return torch.rand(3, 3, 16, 24, generator=torch.Generator().manual_seed(1)) * 2 - 1


@pytest.fixture
def make_space(
    network_settings: Callable[..., AutoencoderNetworkSettings],
) -> Callable[..., LatentSpace]:
    def make(**changes: object) -> LatentSpace:
        torch.manual_seed(0)
        return LatentSpace(Autoencoder(network_settings(**changes)), STATISTICS).requires_grad_(False)

    return make


def test_normalising_shifts_then_scales_each_channel(make_space: Callable[..., LatentSpace]) -> None:
    space = make_space()
    latent = torch.randn(2, 4, 3, 5)
    normalised = space.normalise(latent)
    assert_close(normalised[:, 0], (latent[:, 0] - 0.5) * 2)
    assert_close(normalised[:, 3], (latent[:, 3] - 2) * 4)
    assert_close(space.restore(normalised), latent)


def test_statistics_are_configuration_and_stand_in_no_checkpoint(
    make_space: Callable[..., LatentSpace],
) -> None:
    space = make_space()
    assert all(name.startswith("autoencoder.") for name in space.state_dict())
    assert space.channels == 4


def test_encoding_takes_the_mode_and_drawing_the_posterior(
    make_space: Callable[..., LatentSpace], images: Tensor
) -> None:
    space = make_space(posterior="gaussian")
    moments = space.autoencoder.encoder(images)
    posterior = space.autoencoder.posterior(moments)
    assert_close(space.encode(images), space.normalise(posterior.mean))
    torch.manual_seed(5)
    drawn = space.draw(moments)
    torch.manual_seed(5)
    assert_close(drawn, space.normalise(posterior.sample()))
    assert not torch.allclose(drawn, space.encode(images))


def test_decoding_restores_first(make_space: Callable[..., LatentSpace], images: Tensor) -> None:
    space = make_space(residual=False)
    latent = space.autoencoder.encode(images).mode()
    expected = space.autoencoder.decode(latent, (10, 14), region=(1, 2, 5, 6))
    assert_close(space.decode(space.normalise(latent), (10, 14), region=(1, 2, 5, 6)), expected)


def test_the_condition_is_the_mode_of_the_enlarged_image(
    make_space: Callable[..., LatentSpace], images: Tensor
) -> None:
    space = make_space(posterior="gaussian")
    condition = space.condition(images, 4, "nearest")
    assert condition.shape == (3, 4, 16, 24)  # a latent of the image enlarged by 4, which is 1/4 of it
    assert_close(condition, space.encode(condition_image(images, 4, "nearest")))


def latents_of(space: LatentSpace, batches: list[Tensor]) -> Tensor:
    return torch.cat([space.autoencoder.encode(batch).mode() for batch in batches])


def test_one_scale_for_all_channels_as_published(
    make_space: Callable[..., LatentSpace], images: Tensor
) -> None:
    space, batches = make_space(), [images, images.flip(0)[:1]]
    statistics = measure_statistics(space.autoencoder, batches, "scalar")
    assert statistics.shift == [0.0] * 4
    assert statistics.scale == pytest.approx([1 / float(latents_of(space, batches).std())] * 4)


def test_statistics_by_channel_give_mean_zero_and_deviation_one(
    make_space: Callable[..., LatentSpace], images: Tensor
) -> None:
    space, batches = make_space(), [images, images.flip(0)]
    statistics = measure_statistics(space.autoencoder, batches, "per_channel")
    normalised = LatentSpace(space.autoencoder, statistics).normalise(latents_of(space, batches))
    assert_close(normalised.mean((0, 2, 3)), torch.zeros(4), atol=1e-5, rtol=0)
    assert_close(normalised.transpose(0, 1).flatten(1).std(1), torch.ones(4))


def test_statistics_are_those_of_draws(make_space: Callable[..., LatentSpace], images: Tensor) -> None:
    """As the diffusion learns from draws: a posterior of mode 0 and variance 1 is kept as it is."""
    space = make_space(posterior="gaussian")
    for parameter in space.autoencoder.encoder.to_moments.parameters():
        torch.nn.init.zeros_(parameter)
    torch.manual_seed(0)
    statistics = measure_statistics(space.autoencoder, [images] * 20, "per_channel")
    assert statistics.scale == pytest.approx([1.0] * 4, rel=0.1)
    assert statistics.shift == pytest.approx([0.0] * 4, abs=0.1)


def test_statistics_are_measured_where_the_autoencoder_is(
    make_space: Callable[..., LatentSpace], images: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    autoencoder = make_space().autoencoder.to("meta")
    devices = []

    def encode(batch: Tensor) -> Posterior:
        devices.append(batch.device.type)
        return Posterior(torch.tensor([-1.0, 1.0]).expand(1, 4, 3, 2))

    monkeypatch.setattr(autoencoder, "encode", encode)
    statistics = measure_statistics(autoencoder, [images], "per_channel")
    assert devices == ["meta"]
    assert statistics.shift == [0.0] * 4


def test_a_dead_channel_keeps_a_finite_scale(make_space: Callable[..., LatentSpace], images: Tensor) -> None:
    space = make_space()
    space.autoencoder.encoder.to_moments.weight[1] = 0
    statistics = measure_statistics(space.autoencoder, [images], "per_channel")
    assert statistics.scale[1] == pytest.approx(1e6)


def test_super_resolution_derives_image_and_condition_from_the_shrunk_crop(
    make_space: Callable[..., LatentSpace], images: Tensor
) -> None:
    space = make_space()
    pair = make_pair(space, images, 4, "bilinear")
    assert pair.target is images
    assert pair.low is not None
    assert pair.condition is not None
    assert_close(pair.low, shrink(images, 4))
    assert_close(pair.condition, space.encode(resize(shrink(images, 4), (16, 24), "bilinear")))


def test_a_decoder_that_draws_everything_gets_no_image(
    make_space: Callable[..., LatentSpace], images: Tensor
) -> None:
    assert make_pair(make_space(residual=False), images, 4, "bicubic").low is None


def test_generation_has_a_target_only(make_space: Callable[..., LatentSpace], images: Tensor) -> None:
    assert make_pair(make_space(residual=False), images, None, "bicubic") == ImagePair(images, None, None)


def test_the_condition_holds_the_branchs_features_behind_the_latent(
    make_space: Callable[..., LatentSpace], images: Tensor
) -> None:
    space = make_space(branch={"width": 8, "blocks": 1})
    low = shrink(images, 4)
    condition = space.condition(low, 4, "bicubic")
    assert_close(condition[:, :4], space.encode(resize(low, (16, 24))))
    assert_close(condition[:, 4:], space.autoencoder.decoder.branch(low))
    assert condition.shape[1] == space.autoencoder.settings.condition_channels


@pytest.mark.parametrize("normalization", ["scalar", "per_channel"])
def test_every_latent_pixel_counts_once_whatever_its_batchs_size(
    make_space: Callable[..., LatentSpace], images: Tensor, normalization: Any
) -> None:
    space = make_space()
    batches = [images, images[:2, :, :, :16]]
    statistics = measure_statistics(space.autoencoder, batches, normalization)
    latents = [latents_of(space, [each]).transpose(0, 1).flatten(1) for each in batches]
    pixels = torch.cat(latents, dim=1)  # (4, 3 * 24 + 2 * 16)
    deviation = pixels.std() if normalization == "scalar" else pixels.std(1)
    assert torch.tensor(statistics.scale) == pytest.approx((1 / deviation).expand(4))
    if normalization == "per_channel":
        assert statistics.shift == pytest.approx(pixels.mean(1).tolist(), abs=1e-6)
