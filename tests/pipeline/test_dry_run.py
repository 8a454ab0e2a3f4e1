"""What a pipeline is expected to cost, measured on the preset `smoke`."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

import pytest

from arbiscale.config.params import Params
from arbiscale.config.preset import find_preset, preview_preset
from arbiscale.errors import UserError
from arbiscale.pipeline.dry_run import Counts, _apart, evaluation_cost, left_out, training_cost
from arbiscale.training.autoencoder import AutoencoderTraining
from arbiscale.training.untrained import STAGES

ROOT = Path(__file__).parents[2]
MIB = 2**20


@pytest.fixture(scope="module")
def params() -> Params:
    return preview_preset(ROOT / "params.yaml", find_preset("smoke"))


def steps_of(params: Params, stage: str) -> int:
    settings = {
        "autoencoder": params.autoencoder.training,
        "diffusion": params.diffusion.training,
        "align_timesteps": params.align.timesteps,
        "align_samples": params.align.samples.training,
        "liif": params.baselines.liif.training,
    }
    return settings[stage].steps


@pytest.mark.parametrize("stage", [*STAGES, "liif"])
def test_every_training_takes_real_steps(params: Params, stage: str) -> None:
    cost = training_cost(params, stage, Counts())
    assert cost.stage == stage
    assert cost.units == steps_of(params, stage)
    assert cost.unit_seconds > 0
    assert cost.seconds > cost.units * cost.unit_seconds  # validations come on top
    assert cost.memory_mib > 50
    assert cost.disk_bytes > 100_000


def test_validations_are_counted_by_the_crops_there_are(params: Params) -> None:
    few, many = (
        training_cost(params, "autoencoder", Counts(validation_crops=count)) for count in (1, 100_000)
    )
    assert many.seconds - many.units * many.unit_seconds > 100 * (few.seconds - few.units * few.unit_seconds)


def test_of_several_shapes_the_largest_is_measured(params: Params, monkeypatch: pytest.MonkeyPatch) -> None:
    side = params.data.crop.size_px
    shapes = [f"{side}x{side}", f"{side}x{3 * side}", f"{2 * side}x{side}"]
    crop = params.data.crop.model_copy(update={"shapes": shapes})
    shaped = params.model_copy(update={"data": params.data.model_copy(update={"crop": crop})})
    sizes, losses = [], AutoencoderTraining.losses
    monkeypatch.setattr(
        AutoencoderTraining,
        "losses",
        lambda self, images: sizes.append(images.shape[2:]) or losses(self, images),
    )
    training_cost(shaped, "autoencoder", Counts())
    trained = params.data.augmentation.crop_px
    assert {*sizes} == {(trained, 3 * trained)}


def test_cached_latents_take_disk(params: Params) -> None:
    diffusion = params.diffusion.model_copy(update={"cache_latents": 2})
    cached = params.model_copy(update={"diffusion": diffusion})
    few, many = (
        training_cost(cached, "diffusion", Counts(training_crops=count)).disk_bytes for count in (1, 1001)
    )
    side = params.data.augmentation.crop_px // params.autoencoder.network.encoder.downsampling
    latent_bytes = 4 * params.autoencoder.network.latent_channels * side**2
    assert many - few >= 2 * 1000 * latent_bytes


def test_degraded_pictures_are_part_of_the_cost(params: Params) -> None:
    """They are made in the steps, and once where latents are cached."""
    data = params.data.model_copy(update={"degradation": "realistic"})
    for views in (0, 1):
        diffusion = params.diffusion.model_copy(update={"cache_latents": views})
        degraded = params.model_copy(update={"data": data, "diffusion": diffusion})
        assert training_cost(degraded, "diffusion", Counts()).unit_seconds > 0


def test_the_evaluation_is_counted_by_its_pictures(params: Params) -> None:
    cost = evaluation_cost(params, Counts(test_photographs=5))
    assert cost.units == 5 * params.evaluate.crops_per_photograph
    assert cost.seconds == pytest.approx(cost.units * cost.unit_seconds)
    assert cost.unit_seconds > 0


def test_a_process_that_memory_cannot_hold_is_one_line() -> None:
    with pytest.raises(UserError, match="autoencoder: does not fit into memory; lower its batch_size"):
        _apart("autoencoder", partial(os._exit, 9))


def test_what_is_not_counted_is_said(params: Params) -> None:
    assert any("data/crops is missing" in line for line in left_out(params, Counts()))
    assert not any("data/crops" in line for line in left_out(params, Counts(8, 2, 3)))
    evaluate = params.evaluate.model_copy(update={"protocols": ["sample", "benchmark"]})
    further = params.model_copy(update={"evaluate": evaluate})
    assert "evaluate.protocols: benchmark" in [*left_out(further, Counts(8, 2, 3))]
