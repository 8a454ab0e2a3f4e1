"""Pictures that validations draw: of a short chain, however short the process is."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from arbiscale.config.align import AlignSettings
from arbiscale.config.training import TrainingSettings
from arbiscale.diffusion.process import DiffusionProcess
from arbiscale.models.latent_diffusion import LatentDiffusion
from arbiscale.training.alignment import TimestepAlignment
from arbiscale.training.diffusion import DiffusionTraining
from arbiscale.training.previews import preview_sampling


@torch.no_grad()
@pytest.mark.parametrize(("timesteps", "steps"), [(2, 2), (7, 7), (1000, 8)])
def test_a_preview_takes_no_more_steps_than_the_process_has(
    model: Callable[..., LatentDiffusion],
    training_settings: Callable[..., TrainingSettings],
    align_settings: Callable[..., AlignSettings],
    images: Tensor,
    timesteps: int,
    steps: int,
) -> None:
    diffusion = model()
    process = diffusion.process.settings.model_copy(update={"timesteps": timesteps})
    diffusion.process = DiffusionProcess(process)
    assert preview_sampling(diffusion.process).steps == steps
    for module in (
        DiffusionTraining(training_settings(), 1e-3, diffusion),
        TimestepAlignment(align_settings(), diffusion, ""),
    ):
        assert module.validate(images).images["samples"].shape == (64, 64, 3)
