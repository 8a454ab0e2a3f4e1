from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from arbiscale.imaging.resize import base_image, resize, shrink
from arbiscale.losses.grid import grid_loss
from arbiscale.training.autoencoder import AutoencoderTraining

Maker = Callable[..., AutoencoderTraining]


def test_targets_are_antialiased_at_sizes_drawn_anew(autoencoder_training: Maker, images: Tensor) -> None:
    """A residual decoder that draws nothing yet: the loss is that of the base."""
    module = autoencoder_training(target_px=[8, 40], decode_px=64)  # the whole of any size
    losses = set()
    for seed in range(20):
        torch.manual_seed(seed)
        side = int(torch.randint(8, 41, ()))
        torch.manual_seed(seed)
        base, target = base_image(shrink(images, 4), (side, side)), resize(images, (side, side))
        loss = module.losses(images)["image"]
        assert_close(loss, (base - target).abs().mean())
        losses.add(float(loss.detach()))
    assert len(losses) > 5


def test_only_a_region_is_decoded(
    autoencoder_training: Maker, images: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, regions = autoencoder_training(target_px=[40, 40], decode_px=16), []
    decoder = module.autoencoder.decoder
    learn = decoder.learn

    def watched(latent: Tensor, size: object, region: object, *rest: object) -> object:
        regions.append(region)
        return learn(latent, size, region, *rest)

    monkeypatch.setattr(decoder, "learn", watched)
    for _ in range(8):
        module.losses(images)
    assert {region[2:] for region in regions} == {(16, 16)}
    assert len({region[:2] for region in regions}) > 4


def test_terms_that_are_not_asked_for_are_not_there(autoencoder_training: Maker, images: Tensor) -> None:
    module = autoencoder_training()
    assert module.losses(images).keys() == {"loss", "image"}
    assert module.learning().keys() == {"autoencoder"}


def test_a_pattern_at_the_latent_grid_costs(autoencoder_training: Maker, images: Tensor) -> None:
    module = autoencoder_training(target_px=[40, 40], decode_px=40, grid_weight=0.25)
    torch.nn.init.normal_(module.autoencoder.decoder.head.output.weight)  # it drew nothing
    losses = module.losses(images)
    latent, low = module.autoencoder.encode(images).mode(), shrink(images, 4)
    drawn = module.autoencoder.decode(latent, (40, 40), low=low)
    assert losses["grid"] > 0
    assert_close(losses["grid"], grid_loss(drawn, (8, 8), (40, 40), (0, 0, 40, 40)).mean())
    assert_close(losses["loss"], losses["image"] + 0.25 * losses["grid"])


def test_divergence_is_weighted_in(autoencoder_training: Maker, images: Tensor) -> None:
    module = autoencoder_training(network={"posterior": "gaussian"}, kl_weight=0.25)
    losses = module.losses(images)
    assert_close(losses["kl"], module.autoencoder.encode(images).kl().mean())
    assert_close(losses["loss"], losses["image"] + 0.25 * losses["kl"])


@torch.no_grad()
def test_training_draws_from_the_posterior_and_validation_takes_its_mode(
    autoencoder_training: Maker, images: Tensor
) -> None:
    module = autoencoder_training(
        network={"posterior": "gaussian", "residual": False}, target_px=[32, 32], decode_px=32
    )
    assert module.train().losses(images)["image"] != module.losses(images)["image"]
    module.eval()
    assert module.validate(images).metrics == module.validate(images).metrics


@torch.no_grad()
def test_validation_measures_the_reconstruction(autoencoder_training: Maker, images: Tensor) -> None:
    validation = autoencoder_training().eval().validate(images)
    error = (base_image(shrink(images, 4), (32, 32)).clamp(-1, 1) - images).square().mean((1, 2, 3))
    assert validation.metrics["psnr"] == pytest.approx(float((10 * torch.log10(4 / error)).mean()))
    assert validation.images["reconstruction"].shape == (64, 64, 3)  # drawn above the truth, two beside


@pytest.mark.parametrize("patch_px", [1, 3])
def test_a_flow_learns_its_likelihood(autoencoder_training: Maker, images: Tensor, patch_px: int) -> None:
    head = {"kind": "flow", "width": 8, "layers": 1, "frequencies": 4, "flow_layers": 2, "patch_px": patch_px}
    module = autoencoder_training(network={"head": head}, target_px=[18, 18], decode_px=20, nll_weight=0.25)
    losses = module.losses(images)
    decoder, size, whole = module.autoencoder.decoder, (18, 18), (0, 0, 18, 18)
    features = decoder.feature_decoder(module.autoencoder.encode(images).mode())
    residual = resize(images, size) - base_image(shrink(images, 4), size)
    likelihood = decoder.head.log_likelihood(features, size, whole, residual)
    assert likelihood.shape == (2, 18 // patch_px, 18 // patch_px)
    assert_close(losses["nll"], -likelihood.mean())
    assert_close(losses["loss"], losses["image"] + 0.25 * losses["nll"])


BRANCH = {"branch": {"width": 8, "blocks": 1}}


def test_latents_are_dropped_in_a_share_of_the_steps(autoencoder_training: Maker, images: Tensor) -> None:
    module = autoencoder_training(network=BRANCH, latent_dropout=0.25)
    steps = []
    for seed in range(100):
        torch.manual_seed(seed)
        steps.append(module.losses(images).keys())
    without = [terms for terms in steps if "known" in terms]
    assert 10 < len(without) < 40
    assert all("image" not in terms and "kl" not in terms for terms in without)
    assert all("image" in terms for terms in steps if terms not in without)


def test_without_latents_the_low_resolution_image_is_made_from_the_target(
    autoencoder_training: Maker, images: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a photograph is enlarged: shrinking low and target from one crop would blur the target too."""
    module = autoencoder_training(network=BRANCH, latent_dropout=1.0, target_px=[20, 20], decode_px=20)
    seen: list[Any] = []
    learn = module.autoencoder.decoder.learn
    monkeypatch.setattr(module.autoencoder.decoder, "learn", lambda *all: seen.append(all) or learn(*all))
    module.losses(images)
    latent, size, region, target, low = seen[0]
    assert latent is None
    assert size == (20, 20)
    assert region == (0, 0, 20, 20)
    side = images.shape[-1]
    assert_close(low, resize(target, (side // 4, side // 4)).clamp(-1, 1))
    cuts = images.unfold(2, 20, 1).unfold(3, 20, 1)  # every place
    assert (cuts == target[:, :, None, None]).flatten(4).all(-1).flatten(2).any(-1).all()


def test_without_latents_only_the_branch_and_the_head_learn(
    autoencoder_training: Maker, images: Tensor
) -> None:
    module = autoencoder_training(network=BRANCH, latent_dropout=1.0)
    torch.nn.init.normal_(module.autoencoder.decoder.head.output.weight)  # it drew nothing
    module.losses(images)["loss"].backward()
    learnt = {name for name, weight in module.autoencoder.named_parameters() if weight.grad is not None}
    assert {name.split(".")[1] for name in learnt} == {"branch", "head"}


def test_drawing_without_latent_is_validated_beside_the_reconstruction(
    autoencoder_training: Maker, images: Tensor
) -> None:
    module = autoencoder_training(network=BRANCH, latent_dropout=0.5)
    validation = module.validate(images)
    assert validation.metrics.keys() == {"psnr", "psnr_without_latent"}
    assert validation.images["reconstruction"].shape[0] > images.shape[-2]


def test_crops_that_are_no_squares_keep_their_proportions(
    autoencoder_training: Maker, images: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    wide = images[:, :, :16]  # (2, 3, 16, 32)
    module = autoencoder_training(network=BRANCH, latent_dropout=0.5, target_px=[8, 12], decode_px=64)
    seen: list[Any] = []
    learn = module.autoencoder.decoder.learn
    monkeypatch.setattr(module.autoencoder.decoder, "learn", lambda *all: seen.append(all) or learn(*all))
    for _ in range(16):
        module.losses(wide)
    assert {latent is None for latent, *_ in seen} == {True, False}
    for latent, size, region, target, low in seen:
        assert 8 <= size[0] <= 12
        assert size[1] == 2 * size[0]
        assert region == (0, 0, *size)
        assert low.shape[-2:] == (4, 8)
        whole = resize(wide, size) if latent is not None else target
        assert_close(target, whole)
    validation = module.validate(wide)
    assert validation.images["reconstruction"].shape == (3 * 16, 2 * 32, 3)
