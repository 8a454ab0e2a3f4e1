"""Fidelity: the drawing without latent, with one, and their blends; who has it, and what it costs."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from arbiscale.config.sampling import SamplingSettings
from arbiscale.errors import UserError
from arbiscale.imaging.pixels import to_tensor
from arbiscale.inference import decoding as decoding_module
from arbiscale.inference.latent_model import LatentModel
from arbiscale.inference.model import Model

SIZE = (67, 130)
BRANCH = {"width": 8, "blocks": 2}
HEAD = {"width": 16, "layers": 2}  # products of fewer columns take kernels that depend on the rows


def make(config: Any, network: Any) -> LatentModel:
    sampling = SamplingSettings(steps=2, spacing="trailing", eta=0.0)
    return LatentModel(config, network, torch.device("cpu"), "float32", sampling)


@pytest.fixture(scope="module")
def model(model_config: Callable[..., Any], make_model: Callable[..., Any]) -> LatentModel:
    config = model_config(branch=BRANCH, head=HEAD)
    return make(config, make_model(config))


@pytest.fixture(scope="module")
def branch_alone(model_config: Callable[..., Any], make_model: Callable[..., Any]) -> LatentModel:
    """An autoencoder of which only the branch was trained."""
    config = model_config(branch=BRANCH, head=HEAD)
    alone = config.model_copy(update={"diffusion": None, "fidelity": 1.0})
    return make(alone, make_model(config).space.autoencoder)


@pytest.fixture
def deep(photo: np.ndarray) -> np.ndarray:
    """The photograph in 16 bits, which show more of a difference."""
    return photo.astype(np.uint16) * 257


@pytest.fixture
def heads(model: LatentModel, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by one for each band that the head draws."""
    drawn: list[int] = []
    forward = model.head.forward
    monkeypatch.setattr(
        model.head, "forward", lambda *given, **more: drawn.append(1) or forward(*given, **more)
    )
    return drawn


def refuse_sampling(model: LatentModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model, "sample_latents", lambda *given, **more: pytest.fail("a latent was sampled"))


@pytest.mark.parametrize("tile", ["none", 32])
def test_between_0_and_1_both_drawings_are_blended(
    model: LatentModel, deep: np.ndarray, tile: str | int
) -> None:
    drawing = model.sample(deep, tile=tile, seed=3)
    full, known = (drawing.draw(SIZE, fidelity=each).astype(float) for each in (0, 1))
    assert np.abs(full - known).mean() > 100
    within = (full > 0) & (full < 65535) & (known > 0) & (known < 65535)  # not clamped
    assert within.mean() > 0.5
    for share in (0.25, 0.9):
        blended = drawing.draw(SIZE, fidelity=share)
        expected = (1 - share) * full + share * known
        assert np.abs(blended - expected)[within].max() <= 1


def test_bands_and_regions_are_the_whole_to_the_bit(
    model: LatentModel, deep: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawing = model.sample(deep, seed=3)
    whole = drawing.draw(SIZE, fidelity=0.4)
    region = drawing.region(SIZE, (11, 7, 30, 100), fidelity=0.4)
    np.testing.assert_array_equal(region, whole[11:41, 7:107])
    monkeypatch.setattr(decoding_module, "_BAND_PIXELS", 130 * 9)
    again = model.sample(deep, seed=3)
    np.testing.assert_array_equal(again.draw(SIZE, fidelity=0.4), whole)


def test_many_fidelities_cost_two_drawings(model: LatentModel, deep: np.ndarray, heads: list[int]) -> None:
    drawing = model.sample(deep, seed=3)
    several = [drawing.draw(SIZE, fidelity=share) for share in np.linspace(0, 1, 11)]
    assert len(heads) == 2  # the ends of the dial too
    assert len({pixels.tobytes() for pixels in several}) == 11
    drawing.draw((50, 60), fidelity=0.5)
    assert len(heads) == 4
    drawing.draw(SIZE, fidelity=0.5)  # only the last size is kept
    assert len(heads) == 6


def test_parts_are_not_kept(model: LatentModel, deep: np.ndarray) -> None:
    """Whoever looks around in a picture asks for any number of them."""
    drawing = model.sample(deep, seed=3)
    for top in range(5):
        drawing.region(SIZE, (top, 0, 20, 40), fidelity=0.5)
    assert drawing._decoding._drawn == {}
    drawing.draw(SIZE, fidelity=0.5)
    assert len(drawing._decoding._drawn) == 2


def test_large_outputs_are_not_kept(
    model: LatentModel, deep: np.ndarray, heads: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoding_module, "KEPT_PIXELS", SIZE[0] * SIZE[1] - 1)
    drawing = model.sample(deep, seed=3)
    first = drawing.draw(SIZE, fidelity=0.5)
    np.testing.assert_array_equal(drawing.draw(SIZE, fidelity=0.5), first)
    assert len(heads) == 4


def test_at_fidelity_1_no_latent_is_sampled(
    model: LatentModel, photo: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = model.sample(photo).draw(SIZE, fidelity=1)
    refuse_sampling(model, monkeypatch)
    np.testing.assert_array_equal(model.upscale(photo, size=SIZE, fidelity=1), expected)
    drawing = model.sample(photo, latent=False)
    with pytest.raises(UserError, match="no latent was sampled; sample one, or ask for fidelity 1"):
        drawing.draw(SIZE, fidelity=0.9)


def test_decoding_blends_too(model: LatentModel, photo: np.ndarray) -> None:
    low = to_tensor(photo)
    latent = model.sample_latents(low, seed=3)
    full, known, half = (
        model.decode(latent, SIZE, low_resolution=low, fidelity=share) for share in (0, 1, 0.5)
    )
    assert_close(half, (full + known) / 2)
    assert_close(known, model.decode(latent + 1, SIZE, low_resolution=low, fidelity=1))


def test_the_models_own_fidelity_is_taken_where_none_is_asked_for(
    model: LatentModel, photo: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawing = model.sample(photo)
    np.testing.assert_array_equal(drawing.draw(SIZE), drawing.draw(SIZE, fidelity=0))
    monkeypatch.setattr(model, "fidelity", 0.7)
    np.testing.assert_array_equal(drawing.draw(SIZE), drawing.draw(SIZE, fidelity=0.7))


def test_a_branch_alone_upscales(
    branch_alone: LatentModel, photo: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (branch_alone.task, branch_alone.fidelity) == ("super_resolution", 1)
    low = to_tensor(photo)
    decoded = branch_alone.decode(branch_alone.sample_latents(low), SIZE, low_resolution=low)
    refuse_sampling(branch_alone, monkeypatch)
    drawn = branch_alone.upscale(photo, size=SIZE)
    shown = torch.from_numpy(drawn).permute(2, 0, 1)[None] / 127.5 - 1
    assert (shown - decoded.clamp(-1, 1)).abs().max() <= 0.51 / 127.5
    with pytest.raises(UserError, match="samples no latent: its fidelity is 1"):
        branch_alone.upscale(photo, scale=2, fidelity=0.5)


@pytest.mark.parametrize("fidelity", [-0.1, 1.1, float("nan"), "1"])
def test_what_is_no_fidelity(model: LatentModel, photo: np.ndarray, fidelity: Any) -> None:
    with pytest.raises(UserError, match="must be a number from 0 to 1"):
        model.upscale(photo, scale=2, fidelity=fidelity)


def test_without_a_branch_there_is_no_fidelity(upscaler: Model, photo: np.ndarray) -> None:
    with pytest.raises(UserError, match="no branch that draws without a latent, so no fidelity"):
        upscaler.upscale(photo, scale=2, fidelity=0.5)
    upscaler.upscale(photo, scale=2, fidelity=0)


def test_a_branch_reads_images_of_the_latents_sizes_alone(model: LatentModel) -> None:
    low = torch.zeros(1, 3, 8, 12, dtype=torch.float64)  # as NumPy makes them
    latent = model.sample_latents(low)
    assert model.decode(latent, SIZE, low_resolution=low, fidelity=0.5).shape == (1, 3, *SIZE)
    with pytest.raises(UserError, match="low_resolution: must be the images that the latents are of"):
        model.decode(latent, SIZE, low_resolution=low[..., :-1], fidelity=0.5)


def test_the_branch_is_among_the_networks(model: LatentModel, branch_alone: LatentModel) -> None:
    """Which read channels last, are compiled where that is asked for, and whose passes are counted."""
    for each in (model, branch_alone):
        assert each.autoencoder.decoder.branch in each.networks()
