"""The decode benchmark compares equals; its timing runs by hand (`make bench`)."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch.testing import assert_close

from arbiscale.networks.implicit_head import ImplicitHead
from benchmarks.decode import PUBLISHED_CHUNK, Case, forward, largest_difference
from benchmarks.transcription import Transcription

CPU = torch.device("cpu")


def test_the_published_case_is_363_gflop() -> None:
    assert round(Case().flop / 1e9, 1) == 363.8  # 4 x 480 x 480 rows of 3 x 256 x 256 + 256 x 3


@pytest.mark.parametrize(("latent_px", "output_px"), [(11, 64), (16, 37), (8, 16)])
def test_the_head_equals_its_transcription(latent_px: int, output_px: int) -> None:
    assert largest_difference(Case(latent_px=latent_px, output_px=output_px), CPU) <= 1e-5


def test_the_difference_notices_other_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    transcribed = Transcription.forward

    def changed(self: Transcription, *arguments: object) -> torch.Tensor:
        return 1.0001 * transcribed(self, *arguments)

    monkeypatch.setattr(Transcription, "forward", changed)
    assert largest_difference(Case(latent_px=8, output_px=16), CPU) > 1e-5


@torch.no_grad()
@pytest.mark.parametrize("name", ["first_stage_deterministic", "first_stage_kl"])
def test_the_transcription_equals_the_published_code(name: str, shared: Path) -> None:
    tensors = load_file(shared / "fixtures" / f"{name}.safetensors")
    prefix = "weights.decoder.inr.imnet.layers."
    weights = [tensor for key, tensor in tensors.items() if key.startswith(prefix)]
    width, inputs = tensors[f"{prefix}0.weight"].shape
    transcription = Transcription(ImplicitHead(inputs - 4, width, len(weights) // 2 - 1))
    state = {key.removeprefix(prefix): tensor for key, tensor in tensors.items() if key.startswith(prefix)}
    transcription.network.load_state_dict(state)
    sizes = [key.removeprefix("output.decoded_") for key in tensors if key.startswith("output.decoded_")]
    assert len(sizes) == 4
    for size in sizes:
        height, width = map(int, size.split("x"))
        for chunk in (1000, PUBLISHED_CHUNK):
            drawn = transcription(tensors["output.decoder_features"], (height, width), chunk)
            assert_close(drawn, tensors[f"output.decoded_{size}"], atol=2e-5, rtol=0)


def test_head_and_transcription_learn_alike() -> None:
    head, features = Case(latent_px=5, output_px=9, features=6, width=16, layers=3).build(CPU)
    head, features = head.double(), features.double().requires_grad_()
    learning = [features, *head.parameters()]
    gradients = [
        torch.autograd.grad(drawn.square().sum(), learning)
        for drawn in (head(features, (9, 9), (0, 0, 9, 9)), Transcription(head)(features, (9, 9)))
    ]
    for ours, theirs in zip(*gradients, strict=True):
        assert theirs.any()
        assert_close(ours, theirs, rtol=1e-5, atol=1e-7)  # the head keeps coordinates in float32


def test_every_figure_of_decoding_is_measured() -> None:
    case = Case(latent_px=6, output_px=20, features=8, width=32, layers=3)
    figures = {}
    for figure in forward(case, CPU, runs=1):
        assert figure.value > 0
        figures[figure.benchmark.split(", ")[-1].split(" (")[0], figure.name] = figure
    assert figures["float32", "largest difference"].met
    assert figures["bfloat16", "PSNR to float32, dB"].met
    faster = figures["bfloat16", "times faster than the best float32 transcription"]
    best = figures["transcription at its best chunk", "s"].value
    published = figures["transcription at the published chunk", "s"].value
    assert faster.value == min(best, published) / figures["bfloat16", "s"].value
    assert figures["transcription at the published chunk", "queries at once"].value == PUBLISHED_CHUNK
