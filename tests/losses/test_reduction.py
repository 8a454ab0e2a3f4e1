import pytest
import torch
from torch.testing import assert_close

from arbiscale.losses.reduction import clamped_snr_weight, per_sample, weighted_mean


def test_each_sample_keeps_its_own_weight() -> None:
    weights, losses = torch.tensor([100.0, 1.0, 0.01]), torch.tensor([0.0, 2.0, 5.0])
    assert_close(weighted_mean(weights, losses), torch.tensor((0 + 2 + 0.05) / 3))
    assert abs(float(weighted_mean(weights, losses) - weights.mean() * losses.mean())) > 50


@pytest.mark.parametrize(
    ("weights", "losses"),
    [((3, 1, 1, 1), (3,)), ((3,), (3, 1)), ((1,), (3,)), ((), ()), ((2, 2), (2, 2))],
)
def test_shapes_that_would_broadcast_are_refused(weights: tuple[int, ...], losses: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="expected two vectors of one length"):
        weighted_mean(torch.ones(weights), torch.ones(losses))


def test_weights_are_clamped_from_above_only() -> None:
    assert clamped_snr_weight(torch.tensor([1e4, 5.1, 5.0, 0.7, 0.0]), 5.0).tolist() == pytest.approx(
        [5, 5, 5, 0.7, 0]
    )


def test_differences_by_sample() -> None:
    difference = torch.tensor([[1.0, -3.0], [0.0, 2.0]]).reshape(2, 1, 1, 2)
    assert per_sample(difference, "l1").tolist() == [2, 1]
    assert per_sample(difference, "l2").tolist() == [5, 2]


def test_short_types_are_averaged_in_float32() -> None:
    difference = torch.rand(2, 3, 64, 64).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        losses = per_sample(difference, "l2")
        mean = weighted_mean(torch.rand(2).bfloat16(), losses)
    assert losses.dtype == mean.dtype == torch.float32
    assert torch.equal(losses, per_sample(difference.float(), "l2"))
