"""Every training learns from degraded low-resolution images where it is told to."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from arbiscale.config.degradation import RealisticSettings
from arbiscale.config.runtime import RuntimeSettings
from arbiscale.data.degradation import Degradation, Sample
from arbiscale.imaging.coordinates import Size
from arbiscale.training.fit import fit
from arbiscale.training.module import TrainingModule

TRAININGS = ("autoencoder", "diffusion", "align_timesteps", "align_samples", "liif", "linf")
STAGES = Path(__file__).parents[2] / "stages"


class Noted(Degradation):
    """Remembers which samples it was asked for, and what it made of them."""

    def __init__(self) -> None:
        super().__init__(RealisticSettings(), 0)
        self.asked: list[Sample] = []
        self.made: list[Tensor] = []

    def __call__(self, fine: Tensor, size: Size, samples: Sequence[Sample]) -> Tensor:
        self.asked += samples
        self.made += (low := super().__call__(fine, size, samples))
        return low


@pytest.mark.parametrize("name", TRAININGS)
@pytest.mark.parametrize("accumulate", [1, 2])
def test_images_are_degraded_by_their_numbers(
    make_module: Callable[[str], TrainingModule],
    crops: Callable[..., Any],
    images: Tensor,
    runtime: RuntimeSettings,
    recorder: Any,
    tmp_path: Path,
    name: str,
    accumulate: int,
) -> None:
    module = make_module(name)
    module.degradation = noted = Noted()
    validations = [images, images[:1]]
    how = runtime.model_copy(update={"accumulate": accumulate})
    fit(module, crops(), validations, runtime=how, seed=0, scratch=tmp_path, recorder=recorder)
    batches = [module.batch_of(step) for step in range(module.training_settings.steps)]
    trained = [each for each in noted.asked if isinstance(each, int)]
    assert trained == [2 * batch + place for batch in batches for place in (0, 1)]
    validated = [each for each in noted.asked if isinstance(each, str)]
    count = len(recorder.steps_of(f"validation/{'loss' if name == 'diffusion' else 'psnr'}"))
    crops_in_order = [f"validation/{number}" for number in range(3)]
    assert validated == [
        *crops_in_order[:2],
        *crops_in_order * count,
    ]  # pictures of the first batch at step 0
    first, second, *_ = (
        low for low, each in zip(noted.made, noted.asked, strict=True) if each == "validation/0"
    )
    assert torch.equal(first, second)  # curves compare


@pytest.mark.parametrize("name", TRAININGS)
def test_degraded_images_are_harder(
    make_module: Callable[[str], TrainingModule], images: Tensor, name: str
) -> None:
    found = {}
    for degradation in (None, Degradation(RealisticSettings(), 0)):
        module = make_module(name).eval()
        module.degradation, module.samples = degradation, ["a", "b"]
        torch.manual_seed(0)
        with torch.no_grad():
            found[degradation is None] = module.validate(images).figure
    assert found[False] != found[True]


def test_every_stage_that_trains_is_told() -> None:
    for name in TRAININGS:
        text = (STAGES / f"{name}.py").read_text()
        assert re.search(r"\.degradation = make_degradation\(data, stage\.seed\)\n", text), name
        assert text.index(".degradation = ") < text.index("    fit("), name
