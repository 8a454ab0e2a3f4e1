"""Training LIIF and LINF: what a batch is, and whose turn it is."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from arbiscale.imaging.coordinates import crop
from arbiscale.imaging.resize import resize
from arbiscale.networks.texture import Texture
from arbiscale.training import local_implicit

Maker = Callable[..., Any]


def at_step(module: Any, step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(module), "global_step", step)


def test_a_pair_is_a_place_of_the_crop_and_its_shrunk_version(
    baseline_training: Maker, images: Tensor
) -> None:
    module = baseline_training("liif", decode_px=64)  # the whole of any size
    sides, places = set(), set()
    for seed in range(30):
        torch.manual_seed(seed)
        pair = module.cut(images)
        side = pair.size[0]
        assert pair.region == (0, 0, side, side)
        assert_close(pair.low, resize(pair.target, (8, 8)).clamp(-1, 1))
        (place,) = [
            (top, left)
            for top in range(33 - side)
            for left in range(33 - side)
            if torch.equal(crop(images, (top, left, side, side)), pair.target)
        ][:1]
        sides.add(side)
        places.add(place)
        assert pair.base is None
    assert min(sides) < 12
    assert max(sides) > 28
    assert len(places) > 10


def test_only_a_region_is_drawn_and_compared(baseline_training: Maker, images: Tensor) -> None:
    module = baseline_training("linf", decode_px=14)
    pairs = [module.cut(images) for _ in range(20)]
    assert max(pair.region[2] for pair in pairs) == 14
    assert len({pair.region[:2] for pair in pairs}) > 10
    for pair in pairs:
        assert pair.region[2:] == pair.target.shape[2:]
        whole = resize(pair.low, pair.size, "bilinear")
        assert_close(pair.base, crop(whole, pair.region))


def test_liif_learns_l1(baseline_training: Maker, images: Tensor) -> None:
    module = baseline_training("liif")
    torch.manual_seed(5)
    loss = module.losses(images)["loss"]
    torch.manual_seed(5)
    pair = module.cut(images)
    drawn = module.model.decode(module.model.encode(pair.low), pair.size, region=pair.region)
    assert_close(loss, (drawn - pair.target).abs().mean())


def test_two_steps_of_the_second_stage_share_a_batch(baseline_training: Maker) -> None:
    module = baseline_training("linf")  # of 3 steps and 6
    assert [module.batch_of(step) for step in range(9)] == [0, 1, 2, 3, 3, 4, 4, 5, 5]


def test_the_rate_is_halved_in_either_stage(baseline_training: Maker, training_settings: Maker) -> None:
    training = training_settings(steps=5, schedule="halved", warmup_steps=2).model_dump()
    module = baseline_training("linf", lr=1e-4, training=training, fine_tuning={"steps": 10, "lr": 5e-5})
    first, second = [0.5, 1, 1 / 4, 1 / 8, 1 / 16], [1 / 2, 1 / 4, 1 / 8, 1 / 16, 1 / 32]
    rates = [module.rate_factor(step) for step in range(15)]
    assert rates == pytest.approx([*first, *(rate for rate in second for _ in range(2))])
    assert module.training_settings.steps == 15


def test_without_a_second_stage_the_rate_ends_as_it_does(baseline_training: Maker) -> None:
    module = baseline_training("linf", fine_tuning={"steps": 0})
    assert module.rate_factor(3) == 1 / 16
    assert module.training_settings.steps == 3


def test_the_likelihood_and_drawings_take_turns(
    baseline_training: Maker, images: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = baseline_training("linf", fine_tuning={"nll_weight": 0.25, "l1_weight": 3.0})
    torch.nn.init.normal_(module.model.head.output.weight, std=0.1)

    assert module.common.decode_px == 16

    def losses(step: int) -> dict[str, Tensor]:
        at_step(module, step, monkeypatch)
        torch.manual_seed(9)
        return module.recorded(module.losses(images))

    torch.manual_seed(9)
    pair = module.cut(images)
    features = module.model.encode(pair.low)
    residual = (pair.target - pair.base)[..., :15, :15]  # whole patches of 3 px
    density = module.model.log_likelihood(features, pair.size, (*pair.region[:2], 15, 15), residual)
    l1 = (module.draw(pair, features) - pair.target).abs().mean()
    for step in (0, 2):
        found = losses(step)
        assert found.keys() == {"loss", "nll"}
        assert_close(found["loss"], -density.mean())
    for step in (3, 4, 5, 6):
        found = losses(step)
        assert_close(found["loss"], -0.25 * density.mean() if step % 2 else 3 * l1)
        assert found.keys() == {"loss", "nll", "l1"} - ({"l1"} if step == 3 else set())
        assert_close(found["nll"], -density.mean())  # in a step on drawings: of the step before
        assert step == 3 or found["l1"] == l1


def test_the_perceptual_term_looks_at_a_drawing_with_texture(
    baseline_training: Maker, images: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Tensor] = []

    def perceptual(drawn: Tensor, target: Tensor) -> Tensor:
        seen.append(drawn)
        return (drawn - target).square().flatten(1).mean(1)

    monkeypatch.setattr(local_implicit, "load_perceptual", lambda *_: perceptual)
    module = baseline_training(
        "linf",
        fine_tuning={"perceptual_weight": 0.5, "perceptual_temperature": 0.6},
        input_px=32,
        scales=[1, 1],
        decode_px=32,
    )
    at_step(module, 4, monkeypatch)
    torch.manual_seed(3)
    losses = module.losses(images)
    assert_close(losses["loss"], losses["l1"] + 0.5 * losses["lpips"])
    torch.manual_seed(3)
    pair = module.cut(images)
    texture = Texture(0.6, int(torch.randint(2**31, ())))
    assert_close(seen[0], module.draw(pair, module.model.encode(pair.low), texture))
    assert module.left_out == []


def test_validations_draw_crops_whole(baseline_training: Maker, images: Tensor) -> None:
    for name, rows in (("liif", 2), ("linf", 3)):
        module = baseline_training(name).eval()
        with torch.no_grad():
            result = module.validate(images)
        assert result.metrics.keys() == {"psnr"}
        assert result.images["drawn"].shape == (rows * 32, 64, 3)
    low = resize(images, (8, 8)).clamp(-1, 1)
    base = resize(low, (32, 32), "bilinear")  # a flow draws nothing before it is trained
    errors = (base.clamp(-1, 1) - images).square().flatten(1).mean(1)
    assert result.metrics["psnr"] == pytest.approx(float((10 * torch.log10(4 / errors)).mean()), rel=1e-4)
    assert (result.images["drawn"][:32] != result.images["drawn"][32:64]).any()
