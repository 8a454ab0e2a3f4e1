"""Every training in every precision: on CUDA where it is found, and in bfloat16 on the CPU anywhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_args

import pytest
import torch
from torch import Tensor

from arbiscale.config.align import AlignSettings
from arbiscale.config.runtime import RuntimeSettings
from arbiscale.config.sampling import Sampler
from arbiscale.losses.grid import grid_loss
from arbiscale.models.latent_diffusion import LatentDiffusion
from arbiscale.training.alignment import SampleAlignment
from arbiscale.training.fit import fit
from arbiscale.training.module import TrainingModule

from .conftest import TRAININGS

MISSING = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
CUDA = pytest.param("cuda", marks=[pytest.mark.gpu, MISSING])
DEVICES = ["cpu", CUDA]
SHORT = {"cpu": [torch.bfloat16], "cuda": [torch.bfloat16, torch.float16]}
COSINE = 0.9


def gradients(module: TrainingModule, images: Tensor, short: torch.dtype | None) -> dict[str, Tensor]:
    """Of one step, by the parameter's name, in float32 on the CPU; None = in float32."""
    module.zero_grad()
    torch.manual_seed(5)
    with torch.autocast(images.device.type, short or torch.bfloat16, enabled=short is not None):
        loss = module.losses(images)["loss"]
    assert loss.dtype == torch.float32
    loss.backward()
    return {
        name: each.grad.detach().float().cpu()
        for name, each in module.named_parameters()
        if each.grad is not None
    }


def cosine(first: dict[str, Tensor], second: dict[str, Tensor]) -> float:
    one, other = (torch.cat([each.flatten() for each in part.values()]) for part in (first, second))
    return float(torch.nn.functional.cosine_similarity(one, other, dim=0))


def assert_alike(module: TrainingModule, images: Tensor, device: str) -> None:
    """A step in 16 bits moves the same weights the same way as one in float32."""
    module, images = module.to(device).train(), images.to(device)
    exact = gradients(module, images, None)
    for short in SHORT[device]:
        found = gradients(module, images, short)
        assert found.keys() == exact.keys()
        moved = {name for name, each in exact.items() if each.abs().max() > 1e-8}
        assert {name for name in moved if not found[name].any()} == set()  # no gradient is lost on its way
        assert cosine(found, exact) > COSINE


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", [*TRAININGS, "linf"])
def test_a_step_in_16_bits_goes_where_one_in_32_goes(
    name: str, device: str, make_module: Callable[[str], TrainingModule], images: Tensor
) -> None:
    module = make_module(name)
    assert_alike(module, images, device)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("sampler", get_args(Sampler))
@pytest.mark.parametrize("gradient_steps", [1, 2])
def test_gradients_pass_through_the_last_steps_of_every_sampler(
    sampler: str,
    gradient_steps: int,
    device: str,
    align_settings: Callable[..., AlignSettings],
    model: Callable[..., LatentDiffusion],
    images: Tensor,
) -> None:
    """The first steps run without gradients, and in one autocast region with the last."""
    samples = align_settings().samples.model_dump()
    samples |= {"sampling": {"sampler": sampler, "steps": 3, "spacing": "trailing", "eta": 0.0}}
    samples |= {"gradient_steps": gradient_steps}
    module = SampleAlignment(align_settings(samples=samples, grid_weight=0.0), model(), "")
    assert_alike(module, images, device)


@pytest.mark.parametrize("device", DEVICES)
def test_the_grid_losss_gradient_is_exact_in_autocast(device: str) -> None:
    """Rounded to 8 bits of mantissa its cosine to the true one was 0.5 to 0.76."""
    ramp = torch.linspace(-0.5, 0.5, 64, device=device)
    pattern = 0.02 * torch.cos(torch.arange(64, device=device) * torch.pi / 2)  # of the latent's period
    noise = 0.01 * torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)).to(device)
    drawn = (ramp[:, None] * ramp + pattern + noise).requires_grad_()
    found = []
    for short in (None, *SHORT[device]):
        with torch.autocast(device, short or torch.bfloat16, enabled=short is not None):
            loss = grid_loss(drawn, (16, 16), (64, 64), (0, 0, 64, 64)).sum()
        (gradient,) = torch.autograd.grad(loss, drawn)
        found.append((loss.item(), gradient))
    for loss, gradient in found[1:]:
        assert loss == pytest.approx(found[0][0], rel=1e-5)
        assert cosine({"": gradient}, {"": found[0][1]}) > 0.999


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", [*TRAININGS, "linf"])
def test_every_training_runs_in_every_precision(
    name: str,
    precision: str,
    device: str,
    make_module: Callable[[str], TrainingModule],
    crops: Callable[..., Any],
    images: Tensor,
    runtime: RuntimeSettings,
    recorder: Any,
    tmp_path: Any,
) -> None:
    module = make_module(name)
    module.training_settings = module.training_settings.model_copy(update={"precision": precision})
    how = runtime.model_copy(update={"device": device})
    fit(module, crops(), [images], runtime=how, seed=0, scratch=tmp_path, recorder=recorder)
    losses = [values["train/loss"] for _, values in recorder.metrics if "train/loss" in values]
    assert len(losses) >= 6
    assert all(torch.isfinite(torch.tensor(losses)))
    assert recorder.metrics[-2][1].get("optimization/skipped_steps", 0) == 0
    weights = module.state_dict().values()
    assert all(each.isfinite().all() for each in weights if each.is_floating_point())
