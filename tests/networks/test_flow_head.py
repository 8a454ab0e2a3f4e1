"""The flow head draws patches of its flow: any region, at any temperature, without a grid."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from arbiscale.imaging.coordinates import Region, Size, axis_neighbours, crop
from arbiscale.networks import local_ensemble
from arbiscale.networks.flow_head import FlowHead
from arbiscale.networks.local_ensemble import area_weights
from arbiscale.networks.texture import Texture

SIZE = (53, 89)  # (2, 2) modulo 3


def head_of(patch_px: int = 3, *, blended: bool = True, seed: int = 0) -> FlowHead:
    """A head that draws something: all its weights are random."""
    torch.manual_seed(seed)
    head = FlowHead(6, 16, 2, 5, 4, patch_px, blend_patches=blended).requires_grad_(False)
    head.output.weight.normal_(0, 0.3)
    head.output.bias.normal_(0, 0.3)
    for linear in head.flow.linears:
        linear.weight.add_(torch.randn_like(linear.weight), alpha=0.3 * float(linear.weight.std()))
        linear.bias.normal_(0, 0.1)
    return head


def features(batch: int = 2, height: int = 5, width: int = 7) -> Tensor:
    return torch.randn(batch, 6, height, width, generator=torch.Generator().manual_seed(1))


def draw(head: FlowHead, region: Region | None = None, texture: Texture | None = None) -> Tensor:
    return head(features(), SIZE, region or (0, 0, *SIZE), texture=texture)


def condition_at(head: FlowHead, features: Tensor, size: Size, centre: tuple[int, int]) -> Tensor:
    """What the flow is told, shape (batch, condition), of the patch around one pixel."""
    rows = axis_neighbours(size[0], features.shape[2], centre[0], 1)
    columns = axis_neighbours(size[1], features.shape[3], centre[1], 1)
    index = rows.index[:, None] * features.shape[3] + columns.index[None]  # (2, 2, 1)
    relative = torch.stack(
        [rows.relative[:, None].expand(2, 2, 1), columns.relative[None].expand(2, 2, 1)], -1
    )
    area = area_weights(rows.relative, columns.relative).reshape(4, 1)
    given = index.reshape(4, 1), relative.reshape(4, 1, 2), area, (rows.cell, columns.cell)
    return torch.cat([head.at(one[None], *given) for one in features])


# Drawing


def test_before_training_it_draws_nothing_at_temperature_0() -> None:
    head = FlowHead(6, 16, 2, 5, 4, 3)
    with torch.no_grad():
        assert not draw(head).any()
        assert draw(head, texture=Texture(0.5)).std() > 0.03


@pytest.mark.parametrize("patch_px", [1, 3])
def test_temperature_0_is_the_inverse_of_zero(patch_px: int) -> None:
    head = head_of(patch_px, blended=False)
    drawn = draw(head)
    assert torch.equal(draw(head, texture=Texture(0.0, seed=5)), drawn)
    for top, left in ((0, 0), (3, 27), (51, 87)):
        given = condition_at(head, features(), SIZE, (top + patch_px // 2, left + patch_px // 2))
        values = head.flow.inverse(torch.zeros(2, head.flow.dimensions), given)
        patch = values.unflatten(1, (3, patch_px, patch_px))[..., : SIZE[0] - top, : SIZE[1] - left]
        assert_close(drawn[..., top : top + patch_px, left : left + patch_px], patch, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("patch_px", [1, 3])
def test_a_temperature_draws_from_the_texture(patch_px: int) -> None:
    head, texture = head_of(patch_px, blended=False), Texture(0.8, seed=3)
    drawn = draw(head, texture=texture)
    across = -(-SIZE[1] // patch_px)
    (samples,) = texture.base_samples(range(10), range(across), head.flow.dimensions)
    for row, column in ((0, 0), (2, 9), (9, 20)):
        top, left = row * patch_px, column * patch_px
        given = condition_at(head, features(), SIZE, (top + patch_px // 2, left + patch_px // 2))
        values = head.flow.inverse(samples[row, column].expand(2, -1), given)
        patch = values.unflatten(1, (3, patch_px, patch_px))
        assert_close(drawn[..., top : top + patch_px, left : left + patch_px], patch, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("patch_px", "blended"), [(1, True), (3, False), (3, True)])
def test_deviations_are_proportional_to_the_temperature(patch_px: int, blended: bool) -> None:
    head = head_of(patch_px, blended=blended)
    mean = draw(head)
    deviation = draw(head, texture=Texture(0.8, seed=2)) - mean
    assert deviation.std() > 0.05
    assert_close(draw(head, texture=Texture(0.2, seed=2)) - mean, deviation / 4, atol=2e-6, rtol=1e-4)
    assert (draw(head, texture=Texture(0.8, seed=3)) - mean - deviation).abs().max() > 0.1


@pytest.mark.parametrize("temperature", [0.0, 0.8])
@pytest.mark.parametrize(("patch_px", "blended"), [(1, True), (3, False), (3, True)])
def test_any_region_is_that_part_of_the_whole_to_the_bit(
    patch_px: int, blended: bool, temperature: float
) -> None:
    head, texture = head_of(patch_px, blended=blended), Texture(temperature, seed=4)
    whole = draw(head, texture=texture)
    for region in (
        (0, 0, 1, 1),
        (52, 88, 1, 1),
        (4, 9, 1, 1),
        (52, 0, 1, 89),
        (3, 88, 49, 1),
        (3, 5, 9, 70),
        (7, 10, 31, 47),
        (0, 0, 2, 89),
        (50, 1, 3, 4),
    ):
        assert torch.equal(draw(head, region, texture), crop(whole, region))


@pytest.mark.parametrize("size", [(1, 1), (2, 1), (3, 3), (4, 5), (5, 7), (30, 9)])
@pytest.mark.parametrize("blended", [False, True])
def test_any_size_is_drawn(size: Size, blended: bool) -> None:
    drawn = head_of(3, blended=blended)(features(), size, (0, 0, *size), texture=Texture(0.8))
    assert drawn.shape == (2, 3, *size)
    assert drawn.isfinite().all()


@pytest.mark.parametrize(("patch_px", "blended"), [(1, True), (3, False), (3, True)])
def test_a_sample_does_not_depend_on_those_beside_it(patch_px: int, blended: bool) -> None:
    head, texture = head_of(patch_px, blended=blended), Texture(0.8)
    both = draw(head, texture=texture)
    for sample in (0, 1):
        alone = head(features()[sample : sample + 1], SIZE, (0, 0, *SIZE), texture=texture)
        assert torch.equal(alone[0], both[sample])


@pytest.mark.parametrize("temperature", [0.0, 0.8])
@pytest.mark.parametrize("queries", [1, 40, 200])
def test_bands_equal_the_whole(queries: int, temperature: float, monkeypatch: pytest.MonkeyPatch) -> None:
    head, texture = head_of(), Texture(temperature)
    whole = draw(head, texture=texture)
    monkeypatch.setattr(local_ensemble, "_BAND_QUERIES", queries)
    assert torch.equal(draw(head, texture=texture), whole)


@pytest.mark.parametrize(("patch_px", "blended"), [(1, True), (3, False), (3, True)])
def test_the_rows_that_it_says_it_reads_are_enough(patch_px: int, blended: bool) -> None:
    head, texture = head_of(patch_px, blended=blended), Texture(0.8)
    whole = draw(head, texture=texture)
    for start, count in ((0, 5), (9, 1), (20, 11), (50, 3)):
        first, last = head.rows_read(start, count, SIZE[0], 5)
        part = features()[:, :, first:last]
        drawn = head(part, SIZE, (start, 0, count, 89), inputs=(5, 7), origin=(first, 0), texture=texture)
        assert_close(drawn, crop(whole, (start, 0, count, 89)), atol=1e-5, rtol=1e-5)


def test_bfloat16_draws_the_same_image() -> None:
    head, texture = head_of(), Texture(0.8)
    exact = draw(head, texture=texture)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = draw(head, texture=texture)
    assert mixed.dtype == torch.float32
    assert_close(mixed, exact, atol=0.1, rtol=0)


# Borders between patches


def border_energy(image: Tensor) -> Tensor:
    """Of gradients across rows, and across columns: on borders of the first grid, and inside; (2, 2)."""
    energies = []
    for dim in (-2, -1):
        energy = image.diff(dim=dim).square().movedim(dim, 0).flatten(1).mean(1)
        border = torch.arange(len(energy)) % 3 == 2
        energies.append(torch.stack([energy[border].mean(), energy[~border].mean()]))
    return torch.stack(energies) / image.var()


def border_ratios(temperature: float, *, blended: bool) -> tuple[Tensor, Tensor]:
    """Energy on borders over that inside, for both axes: of many heads together, and of each."""
    size = (91, 88)  # in latent pixels, borders lie anywhere
    energies = []
    for seed in range(12):
        head = head_of(blended=blended, seed=seed)
        given = torch.randn(1, 6, 13, 12)
        energies.append(border_energy(head(given, size, (0, 0, *size), texture=Texture(temperature, seed))))
    each = torch.stack(energies)  # (heads, axes, 2)
    together = each.mean(0)
    return together[:, 0] / together[:, 1], each[..., 0] / each[..., 1]


@pytest.mark.parametrize("temperature", [0.0, 0.8])
def test_blended_patches_have_no_borders(temperature: float) -> None:
    together, each = border_ratios(temperature, blended=True)
    assert (together - 1).abs().max() < 0.02
    assert each.log().abs().mean() < 0.05
    assert border_ratios(temperature, blended=False)[1].log().abs().mean() > 0.15  # what is to be seen


def test_blending_keeps_the_variance() -> None:
    variances = []
    for blended in (False, True):
        deviations = []
        for seed in range(8):
            head = head_of(blended=blended, seed=seed)
            deviations.append(draw(head, texture=Texture(0.8, seed)) - draw(head))
        variances.append(float(torch.stack(deviations).var()))
    assert abs(variances[1] / variances[0] - 1) < 0.03


# Likelihood


def test_patches_and_images_are_the_same_pixels() -> None:
    head = head_of(3)
    image = torch.arange(2 * 3 * 6 * 9.0).view(2, 3, 6, 9)
    patches = head.patches(image)
    assert patches.shape == (2, 2, 3, 27)
    assert torch.equal(patches[1, 1, 2].view(3, 3, 3), image[1, :, 3:6, 6:9])
    assert torch.equal(head.image(patches), image)


@pytest.mark.parametrize("patch_px", [1, 3])
def test_the_likelihood_of_every_patch_is_the_flows(patch_px: int) -> None:
    head, region = head_of(patch_px), (4, 10, 9, 12)  # the patches' grid begins where the region does
    values = 0.3 * torch.randn(2, 3, 9, 12)
    found = head.log_likelihood(features(), SIZE, region, values)
    assert found.shape == (2, 9 // patch_px, 12 // patch_px)
    for row, column in ((0, 0), (1, 3), (2, 2)):
        top, left = row * patch_px, column * patch_px
        centre = (4 + top + patch_px // 2, 10 + left + patch_px // 2)
        given = condition_at(head, features(), SIZE, centre)
        patch = values[..., top : top + patch_px, left : left + patch_px].flatten(1)
        assert_close(found[:, row, column], head.flow(patch, given)[1], atol=1e-3, rtol=1e-4)


def test_what_it_draws_has_the_likelihood_of_its_base_samples() -> None:
    head, texture = head_of(blended=False), Texture(1.0)
    size = (54, 90)
    drawn = head(features(), size, (0, 0, *size), texture=texture)
    likely = head.log_likelihood(features(), size, (0, 0, *size), drawn)
    mean = head(features(), size, (0, 0, *size))
    greatest = head.log_likelihood(features(), size, (0, 0, *size), mean)
    base = texture.base_samples(range(18), range(30), 27).square().sum(-1) / 2
    assert_close(greatest - likely, base.expand_as(likely), atol=2e-2, rtol=1e-3)


@pytest.mark.parametrize(("patch_px", "blended"), [(1, False), (3, False), (3, True)])
def test_mean_and_likelihood_are_those_of_two_calls(patch_px: int, blended: bool) -> None:
    head, region = head_of(patch_px, blended=blended), (6, 9, 9, 12)
    values = 0.3 * torch.randn(2, 3, 9, 12)
    mean, likely = head.mean_and_likelihood(features(), SIZE, region, values)
    assert_close(mean, draw(head, region), atol=1e-5, rtol=1e-5)
    assert_close(likely, head.log_likelihood(features(), SIZE, region, values))


def test_sides_that_are_no_multiples_of_a_patchs_are_refused() -> None:
    with pytest.raises(ValueError, match="10x12 px are no multiple of patches of 3 px"):
        head_of(3).log_likelihood(features(), SIZE, (0, 0, 10, 12), torch.zeros(2, 3, 10, 12))


@pytest.mark.parametrize("temperature", [0.0, 0.8])
def test_gradients_reach_every_weight_from_what_is_drawn_and_what_is_likely(temperature: float) -> None:
    head = head_of().requires_grad_()
    given = features().requires_grad_()
    head(given, (13, 29), (0, 0, 13, 29), texture=Texture(temperature)).square().sum().backward()
    assert (given.grad.abs().sum(1) > 0).all()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in head.parameters())
    head.zero_grad()
    head.log_likelihood(given, (13, 29), (1, 1, 12, 27), torch.zeros(2, 3, 12, 27)).sum().backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in head.parameters())
