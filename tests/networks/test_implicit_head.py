"""Parity with the published head, and that the way it is computed here changes nothing."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from torch.testing import assert_close

from arbiscale.imaging.coordinates import axis_neighbours
from arbiscale.networks import local_ensemble
from arbiscale.networks.implicit_head import ImplicitHead

FIXTURES = ["first_stage_deterministic", "first_stage_kl"]
OUTPUT = "output.decoded_"


def published(tensors: dict[str, Tensor]) -> ImplicitHead:
    """The head of a fixture; its layers are numbered with the activations between them."""
    prefix = "weights.decoder.inr.imnet.layers."
    numbers = sorted({int(name.removeprefix(prefix).split(".")[0]) for name in tensors if prefix in name})
    width, inputs = tensors[f"{prefix}0.weight"].shape
    head = ImplicitHead(inputs - 4, width, len(numbers) - 1)
    for number, layer in zip(numbers, [head.first, *head.hidden, head.output], strict=True):
        layer.load_state_dict({part: tensors[f"{prefix}{number}.{part}"] for part in ("weight", "bias")})
    return head.requires_grad_(False)


def largest_errors(head: ImplicitHead, tensors: dict[str, Tensor]) -> list[float]:
    """Greatest difference to the published output, for each of its sizes."""
    errors = []
    for name in tensors:
        if name.startswith(OUTPUT):
            height, width = map(int, name.removeprefix(OUTPUT).split("x"))
            drawn = head(tensors["output.decoder_features"], (height, width), (0, 0, height, width))
            errors.append(float((drawn - tensors[name]).abs().max()))
    return errors


@pytest.fixture(params=FIXTURES)
def tensors(request: pytest.FixtureRequest, shared: Path) -> dict[str, Tensor]:
    return load_file(shared / "fixtures" / f"{request.param}.safetensors")


def test_equals_the_published_head_at_every_size(tensors: dict[str, Tensor]) -> None:
    errors = largest_errors(published(tensors), tensors)
    assert len(errors) == 4
    assert max(errors) < 2e-5


@pytest.mark.parametrize(
    "order",
    [[1, 0, 2, 3], [0, 1, 3, 2], [2, 3, 0, 1]],
    ids=["coordinates swapped", "cell sizes swapped", "cell before coordinates"],
)
def test_parity_notices_another_order_of_the_inputs(tensors: dict[str, Tensor], order: list[int]) -> None:
    head = published(tensors)
    head.first.weight[:, -4:] = head.first.weight[:, -4:][:, order]
    assert max(largest_errors(head, tensors)) > 0.05  # cell sizes differ where scales do


def test_parity_notices_areas_that_are_not_opposite(
    tensors: dict[str, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    opposite = local_ensemble.area_weights
    monkeypatch.setattr(
        local_ensemble, "area_weights", lambda rows, columns: opposite(rows, columns).flip(0, 1)
    )
    assert min(largest_errors(published(tensors), tensors)) > 0.05


@pytest.fixture
def head() -> ImplicitHead:
    torch.manual_seed(0)
    return ImplicitHead(6, 16, 3)


def features(height: int = 5, width: int = 7) -> Tensor:
    return torch.randn(2, 6, height, width, generator=torch.Generator().manual_seed(1))


def brute_force(
    head: ImplicitHead, features: Tensor, size: tuple[int, int], pixel: tuple[int, int]
) -> Tensor:
    """Colour (channels,) of one output pixel of the first sample, straight from LIIF's equations."""
    inputs = features.shape[-2:]
    queries = [(2 * at + 1) / count - 1 for at, count in zip(pixel, size, strict=True)]
    cell = [2 * count / outputs for count, outputs in zip(inputs, size, strict=True)]
    colours, areas = [], []
    for side_y in (-1, 1):
        for side_x in (-1, 1):
            index, relative = [], []
            for query, side, count in zip(queries, (side_y, side_x), inputs, strict=True):
                moved = query + side / count + 1e-6
                nearest = min(max(int((moved + 1) * count / 2 // 1), 0), count - 1)
                index.append(nearest)
                relative.append((query - ((2 * nearest + 1) / count - 1)) * count)
            hidden = torch.cat([features[0, :, index[0], index[1]], torch.tensor(relative + cell)])
            for layer in [head.first, *head.hidden]:
                hidden = torch.relu(layer(hidden))
            colours.append(head.output(hidden))
            areas.append((abs(relative[0]) + 1e-9) * (abs(relative[1]) + 1e-9))
    opposite = torch.tensor(areas[::-1])
    return (torch.stack(colours) * (opposite / opposite.sum())[:, None]).sum(0)


@torch.no_grad()
@pytest.mark.parametrize("size", [(5, 7), (11, 23), (3, 4), (1, 1), (50, 7)])
def test_every_pixel_is_liifs(head: ImplicitHead, size: tuple[int, int]) -> None:
    drawn = head(features(), size, (0, 0, *size))
    assert drawn.shape == (2, 3, *size)
    for y in range(0, size[0], 3):
        for x in range(0, size[1], 2):
            assert_close(drawn[0, :, y, x], brute_force(head, features(), size, (y, x)), atol=2e-5, rtol=0)


@torch.no_grad()
@pytest.mark.parametrize("pixel", [(0, 0), (2, 3), (3, 6), (4, 2), (4, 6)])
def test_at_the_latents_own_size_each_pixel_draws_itself(head: ImplicitHead, pixel: tuple[int, int]) -> None:
    changed = features()
    changed[:, :, pixel[0], pixel[1]] += 1
    whole = (0, 0, 5, 7)
    difference = (head(changed, (5, 7), whole) - head(features(), (5, 7), whole)).abs().amax((0, 1))
    assert (difference > 1e-5).nonzero().tolist() == [list(pixel)]  # on the last row and column, too


@torch.no_grad()
@pytest.mark.parametrize("width", [16, 256])
@pytest.mark.parametrize(
    "region", [(0, 0, 53, 89), (4, 9, 1, 1), (52, 0, 1, 89), (3, 88, 49, 1), (3, 5, 9, 70)]
)
def test_a_region_is_that_part_of_the_whole_to_the_bit(region: tuple[int, int, int, int], width: int) -> None:
    head = ImplicitHead(6, width, 3)
    top, left, height, width = region
    whole = head(features(), (53, 89), (0, 0, 53, 89))
    part = head(features(), (53, 89), region)
    assert torch.equal(part, whole[..., top : top + height, left : left + width])


@torch.no_grad()
def test_part_of_the_features_draws_what_reads_no_others(head: ImplicitHead) -> None:
    whole = head(features(), (13, 29), (6, 12, 3, 8))  # reads rows 2 and 3, columns 2 to 5
    part = features()[..., 2:4, 2:6]
    assert_close(head(part, (13, 29), (6, 12, 3, 8), inputs=(5, 7), origin=(2, 2)), whole, atol=1e-6, rtol=0)


def test_bands_without_gradients_equal_the_whole_with_gradients(
    head: ImplicitHead, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_gradients = head(features(), (13, 29), (0, 0, 13, 29))
    bands = []
    evaluate = ImplicitHead.evaluate

    def counted(*arguments: object, **keywords: object) -> Tensor:
        bands.append(evaluate(*arguments, **keywords))
        return bands[-1]

    monkeypatch.setattr(ImplicitHead, "evaluate", counted)
    for queries, expected in ((1, 13), (29 * 2 * 4, 4), (1 << 16, 1)):  # 2 samples of 29 columns
        monkeypatch.setattr(local_ensemble, "_BAND_QUERIES", queries)
        bands.clear()
        with torch.no_grad():
            drawn = head(features(), (13, 29), (0, 0, 13, 29))
        assert len(bands) == expected
        assert torch.equal(drawn, with_gradients.detach())


def psnr(drawn: Tensor, reference: Tensor) -> float:
    """In dB, for values in [-1, 1]."""
    return float(10 * torch.log10(4 / (drawn - reference).square().mean()))


@torch.no_grad()
@pytest.mark.parametrize("emulated", [False, True], ids=["as this machine does", "in bfloat16 itself"])
def test_bfloat16_draws_the_same_image(emulated: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    head = ImplicitHead(128, 256, 4)
    given = torch.randn(1, 128, 6, 6)
    head.output.weight *= 0.5 / head(given, (20, 30), (0, 0, 20, 30)).std()  # as an image's
    exact = head(given, (20, 30), (0, 0, 20, 30))
    if emulated:
        monkeypatch.setattr(local_ensemble, "multiplied_in", lambda dtype, _: dtype)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = head(given, (20, 30), (0, 0, 20, 30))
    short = head.bfloat16()(given.bfloat16(), (20, 30), (0, 0, 20, 30))
    assert mixed.dtype == short.dtype == torch.float32  # of two outputs' average, not of the products
    assert psnr(mixed, exact) > 55
    assert psnr(short, exact) > 55
    if emulated:
        assert psnr(mixed, exact) < 100


def test_gradients_in_bfloat16_point_where_float32s_do(
    head: ImplicitHead, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_ensemble, "multiplied_in", lambda dtype, _: dtype)
    gradients = []
    for enabled in (False, True):
        head.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            drawn = head(features(), (13, 29), (0, 0, 13, 29))
        drawn.square().mean().backward()
        gradients.append([parameter.grad for parameter in head.parameters() if parameter.grad is not None])
    for short, exact in zip(*reversed(gradients), strict=True):
        assert short.dtype == torch.float32
        assert torch.cosine_similarity(short.flatten(), exact.flatten(), dim=0) > 0.99


def test_gradients_reach_features_and_every_weight(head: ImplicitHead) -> None:
    given = features().requires_grad_()
    head(given, (13, 29), (0, 0, 13, 29)).square().sum().backward()
    assert given.grad is not None
    assert (given.grad.abs().sum(1) > 0).all()  # every latent pixel is drawn on
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in head.parameters())


def test_gradients_are_those_of_the_function() -> None:
    head = ImplicitHead(6, 4, 3).double()
    given = features(2, 3).double().requires_grad_()
    names, parameters = zip(*head.named_parameters(), strict=True)

    def draw(each: Tensor, *weights: Tensor) -> Tensor:
        return torch.func.functional_call(
            head, dict(zip(names, weights, strict=True)), (each, (5, 4), (1, 0, 3, 4))
        )

    assert torch.autograd.gradcheck(draw, (given, *parameters))


def test_neighbouring_pixels_join_without_a_seam(head: ImplicitHead) -> None:
    """The ensemble is continuous where the neighbours change: fine outputs have no jumps."""
    with torch.no_grad():
        fine = head(features(4, 4), (512, 512), (128, 128, 256, 256))
        coarse = head(features(4, 4), (256, 256), (64, 64, 128, 128))
    step_fine = fine.diff(dim=-1).abs().max()
    step_coarse = coarse.diff(dim=-1).abs().max()
    assert step_fine < 0.6 * step_coarse  # a seam's step would stay as large as it is


def test_rows_that_are_read(head: ImplicitHead) -> None:
    assert head.rows_read(0, 10, 10, 5) == (0, 5)
    start, stop = head.rows_read(6, 3, 13, 5)
    index = axis_neighbours(13, 5, 6, 3).index
    assert (start, stop) == (int(index.min()), int(index.max()) + 1)
