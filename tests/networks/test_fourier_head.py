"""The Fourier feature ensemble equals its equations, and chunks, bands and types change nothing."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from arbiscale.imaging.coordinates import Region, Size, crop
from arbiscale.networks import local_ensemble
from arbiscale.networks.fourier_head import FourierHead

CPU = torch.device("cpu")


@pytest.fixture
def head() -> FourierHead:
    torch.manual_seed(0)
    return FourierHead(6, 16, 2, 5)


def features(height: int = 5, width: int = 7, batch: int = 2) -> Tensor:
    return torch.randn(batch, 6, height, width, generator=torch.Generator().manual_seed(1))


def brute_force(head: FourierHead, features: Tensor, size: Size, pixel: Size) -> Tensor:
    """Colour (channels,) of one output pixel of the first sample, straight from the paper's equations."""
    inputs = features.shape[-2:]
    queries = [(2 * at + 1) / count - 1 for at, count in zip(pixel, size, strict=True)]
    cell = [max(2 * count / outputs, head.least_cell) for count, outputs in zip(inputs, size, strict=True)]
    textures, areas = [], []
    for side_y in (-1, 1):
        for side_x in (-1, 1):
            index, relative = [], []
            for query, side, count in zip(queries, (side_y, side_x), inputs, strict=True):
                moved = query + side / count + 1e-6
                nearest = min(max(int((moved + 1) * count / 2 // 1), 0), count - 1)
                index.append(nearest)
                relative.append((query - ((2 * nearest + 1) / count - 1)) * count)
            pixel_features = features[0, :, index[0], index[1]]
            amplitude, frequency = head.amplitude(pixel_features), head.frequency(pixel_features)
            angles = []
            for number in range(head.frequencies):
                on_y, on_x = frequency[number], frequency[head.frequencies + number]
                phase = (head.phase.weight[number] * torch.tensor(cell)).sum()
                angles.append(math.pi * (on_y * relative[0] + on_x * relative[1] + phase))
            waves = [torch.cos(angle) for angle in angles] + [torch.sin(angle) for angle in angles]
            textures.append(amplitude * torch.stack(waves))
            areas.append((abs(relative[0]) + 1e-9) * (abs(relative[1]) + 1e-9))
    values = torch.cat(
        [area / sum(areas) * texture for area, texture in zip(reversed(areas), textures, strict=True)]
    )
    for layer in head.hidden:
        values = torch.relu(layer(values))
    return head.output(values)


@torch.no_grad()
def largest_error(head: FourierHead, size: Size, drawing: FourierHead | None = None) -> float:
    """Of pixels on all borders and inside; `drawing` is another head that draws in its place."""
    drawn = (drawing or head)(features(), size, (0, 0, *size))
    assert drawn.shape == (2, 3, *size)
    errors = [
        (drawn[0, :, y, x] - brute_force(head, features(), size, (y, x))).abs().max()
        for y in {*range(0, size[0], 3), size[0] - 1}
        for x in {*range(0, size[1], 4), size[1] - 1}
    ]
    return float(torch.stack(errors).max())


@pytest.mark.parametrize("size", [(5, 7), (11, 23), (3, 4), (1, 1), (29, 7)])
def test_every_pixel_is_the_papers(head: FourierHead, size: Size) -> None:
    assert largest_error(head, size) < 1e-5


def test_scales_beyond_the_largest_are_told_as_that_one(head: FourierHead) -> None:
    size = (40, 14)  # by 8 and by 2
    head.least_cell = 0.25
    plain = largest_error(head, size)
    head.least_cell = 0.5  # by 4
    assert max(plain, largest_error(head, size)) < 1e-5
    free = copy.deepcopy(head)
    free.least_cell = 0.0
    assert largest_error(head, size, free) > 1e-3  # the rows' cell is another
    assert largest_error(head, (20, 14), free) < 1e-5  # nothing is beyond


@torch.no_grad()
@pytest.mark.parametrize(
    "wrong", ["y and x swapped", "cosines and sines swapped", "cell left out", "cell swapped", "no pi"]
)
def test_the_comparison_notices_other_equations(head: FourierHead, wrong: str) -> None:
    """Drawing with exchanged weights is drawing by another equation with the right ones."""
    other = copy.deepcopy(head)
    if "y and x" in wrong or "cosines" in wrong:
        linear = other.frequency if "y and x" in wrong else other.amplitude
        linear.weight.copy_(linear.weight.roll(head.frequencies, 0))
        linear.bias.copy_(linear.bias.roll(head.frequencies))
    elif "cell" in wrong:
        other.phase.weight.copy_(0 * head.phase.weight if "left" in wrong else head.phase.weight.flip(1))
    else:
        for parameter in (other.phase.weight, other.frequency.weight, other.frequency.bias):
            parameter.div_(math.pi)
    assert largest_error(head, (11, 23), other) > 1e-3


def test_the_comparison_notices_areas_that_are_not_opposite(
    head: FourierHead, monkeypatch: pytest.MonkeyPatch
) -> None:
    opposite = local_ensemble.area_weights
    monkeypatch.setattr(
        local_ensemble, "area_weights", lambda rows, columns: opposite(rows, columns).flip(0, 1)
    )
    assert largest_error(head, (11, 23)) > 1e-2


@torch.no_grad()
@pytest.mark.parametrize(("width", "frequencies"), [(16, 5), (256, 32)])
@pytest.mark.parametrize(
    "region", [(0, 0, 53, 89), (4, 9, 1, 1), (52, 0, 1, 89), (3, 88, 49, 1), (3, 5, 9, 70)]
)
def test_a_region_is_that_part_of_the_whole_to_the_bit(region: Region, width: int, frequencies: int) -> None:
    head = FourierHead(6, width, 3, frequencies)
    whole = head(features(), (53, 89), (0, 0, 53, 89))
    assert torch.equal(head(features(), (53, 89), region), crop(whole, region))


@torch.no_grad()
def test_a_sample_does_not_depend_on_those_beside_it(head: FourierHead) -> None:
    both = head(features(), (53, 89), (0, 0, 53, 89))
    for sample in (0, 1):
        assert torch.equal(head(features()[sample : sample + 1], (53, 89), (0, 0, 53, 89))[0], both[sample])


@torch.no_grad()
def test_part_of_the_features_draws_what_reads_no_others(head: FourierHead) -> None:
    region = (6, 12, 3, 8)  # reads rows 2 and 3, columns 2 to 5
    whole = head(features(), (13, 29), region)
    part = features()[..., 2:4, 2:6]
    assert head.rows_read(6, 3, 13, 5) == (2, 4)
    assert_close(head(part, (13, 29), region, inputs=(5, 7), origin=(2, 2)), whole, atol=1e-6, rtol=0)


@pytest.mark.parametrize(("queries", "bands"), [(1, 13), (29 * 2 * 4, 4), (1 << 16, 1)])
def test_bands_draw_and_learn_as_the_whole_does(
    head: FourierHead, queries: int, bands: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = head(features(), (13, 29), (0, 0, 13, 29))  # in one band
    wanted = torch.autograd.grad(expected.square().sum(), list(head.parameters()))
    evaluated = []
    evaluate = FourierHead.evaluate

    def counted(*arguments: object, **keywords: object) -> Tensor:
        evaluated.append(evaluate(*arguments, **keywords))
        return evaluated[-1]

    monkeypatch.setattr(FourierHead, "evaluate", counted)
    monkeypatch.setattr(local_ensemble, "_BAND_QUERIES", queries)
    monkeypatch.setattr(FourierHead, "learning_queries", queries)
    with torch.no_grad():
        assert_close(head(features(), (13, 29), (0, 0, 13, 29)), expected, atol=1e-6, rtol=0)
    learning = head(features(), (13, 29), (0, 0, 13, 29))
    assert len(evaluated) == 2 * bands
    assert_close(learning, expected, atol=1e-6, rtol=0)
    gradients = torch.autograd.grad(learning.square().sum(), list(head.parameters()))
    for gradient, other in zip(gradients, wanted, strict=True):
        assert other.any()
        assert_close(gradient, other, rtol=1e-4, atol=1e-5)


def test_activations_are_computed_again_instead_of_kept(head: FourierHead) -> None:
    kept: list[int] = []

    def keep(tensor: Tensor) -> Tensor:
        kept.append(tensor.numel())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        head(features(), (50, 50), (0, 0, 50, 50))
    queries = 2 * 50 * 50
    assert max(kept) <= 4 * 2 * queries  # the relative coordinates; the MLP's input has 40 channels


def test_gradients_are_those_of_the_function() -> None:
    head = FourierHead(3, 4, 2, 3).double()
    given = torch.randn(2, 3, 2, 3, dtype=torch.float64, requires_grad=True)
    names, parameters = zip(*head.named_parameters(), strict=True)

    def draw(each: Tensor, *weights: Tensor) -> Tensor:
        return torch.func.functional_call(
            head, dict(zip(names, weights, strict=True)), (each, (5, 4), (1, 0, 3, 4))
        )

    assert torch.autograd.gradcheck(draw, (given, *parameters))


def test_gradients_reach_features_and_every_weight(head: FourierHead) -> None:
    given = features().requires_grad_()
    head(given, (13, 29), (0, 0, 13, 29)).square().sum().backward()
    assert given.grad is not None
    assert (given.grad.abs().sum(1) > 0).all()  # every latent pixel is drawn on
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in head.parameters())


@torch.no_grad()
@pytest.mark.parametrize("emulated", [False, True], ids=["as this machine does", "in bfloat16 itself"])
def test_bfloat16_draws_the_same_image(emulated: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Angles of hundreds of half turns, as at high frequencies: only float32 holds them."""
    torch.manual_seed(0)
    head = FourierHead(32, 64, 3, 16)
    head.frequency.weight *= 100
    given = torch.randn(1, 32, 6, 6)
    head.output.weight *= 0.5 / head(given, (20, 30), (0, 0, 20, 30)).std()  # as an image's
    exact = head(given, (20, 30), (0, 0, 20, 30))
    if emulated:
        monkeypatch.setattr(local_ensemble, "multiplied_in", lambda dtype, _: dtype)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = head(given, (20, 30), (0, 0, 20, 30))
    assert mixed.dtype == torch.float32
    assert psnr(mixed, exact) > 50
    if emulated:
        assert psnr(mixed, exact) < 100
    else:
        assert torch.equal(mixed, exact) or local_ensemble.multiplied_in(torch.bfloat16, CPU) != torch.float32


@torch.no_grad()
def test_weights_in_bfloat16_draw(head: FourierHead) -> None:
    exact = head(features(), (13, 29), (0, 0, 13, 29))
    short = head.bfloat16()(features().bfloat16(), (13, 29), (0, 0, 13, 29))
    assert short.dtype == torch.float32
    assert psnr(short, exact) > 40


def psnr(drawn: Tensor, reference: Tensor) -> float:
    """In dB, for values in [-1, 1]."""
    return float(10 * torch.log10(4 / (drawn - reference).square().mean()))
