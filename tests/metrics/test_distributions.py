"""FID, KID, precision and recall against closed forms and obvious sets."""

from __future__ import annotations

import math

import pytest
import torch
from scipy.linalg import sqrtm
from torch import Tensor

from arbiscale.metrics import distributions
from arbiscale.metrics.distributions import frechet_distance, kernel_distance, precision_and_recall


def noise(count: int, features: int, seed: int = 0) -> Tensor:
    return torch.randn(count, features, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def gaussian(mean: Tensor, root: Tensor, seed: int) -> Tensor:
    """500 features whose sample mean is `mean` and whose sample covariance is root @ root.T, exactly."""
    drawn = noise(500, len(mean), seed)
    drawn = drawn - drawn.mean(dim=0)
    white = drawn @ torch.linalg.inv(torch.linalg.cholesky(drawn.T.cov())).T
    return mean + white @ root.T


def test_fid_of_gaussians_has_its_closed_form() -> None:
    mean, other = torch.tensor([0.0, 1.0, 2.0]), torch.tensor([0.5, 1.0, 1.0])
    deviations, others = torch.tensor([1.0, 2.0, 3.0]), torch.tensor([1.0, 0.5, 2.0])
    expected = (mean - other).square().sum() + (deviations - others).square().sum()  # commuting covariances
    sets = (
        gaussian(mean.double(), deviations.double().diag(), 1),
        gaussian(other.double(), others.double().diag(), 2),
    )
    assert frechet_distance(*sets) == pytest.approx(expected.item(), rel=1e-6)


def test_fid_of_turned_covariances_agrees_with_the_matrix_square_root() -> None:
    roots = noise(4, 4, 5), noise(4, 4, 6)
    sets = [gaussian(torch.zeros(4).double(), root, seed) for seed, root in enumerate(roots)]
    one, two = (root @ root.T for root in roots)
    expected = torch.trace(one + two).item() - 2 * sqrtm((one @ two).numpy()).real.trace()
    assert frechet_distance(*sets) == pytest.approx(expected, rel=1e-6)


def test_fid_of_a_set_with_itself_is_none() -> None:
    features = noise(40, 6).float()
    assert frechet_distance(features, features.flip(0)) == pytest.approx(0, abs=1e-6)


def test_kid_of_few_pictures_is_the_unbiased_estimate_of_all() -> None:
    one, two = noise(5, 3, 1), noise(6, 3, 2) + 1
    two = two[:5]

    def kernel(a: Tensor, b: Tensor) -> Tensor:
        return (a @ b.T / 3 + 1) ** 3

    within = sum((kernel(each, each).sum() - kernel(each, each).trace()) / (5 * 4) for each in (one, two))
    expected = within - 2 * kernel(one, two).mean()
    assert kernel_distance(one, two, seed=0) == pytest.approx(expected.item(), rel=1e-9)


def test_kid_is_about_zero_for_one_distribution_and_large_for_two() -> None:
    one, same, other = noise(300, 8, 1), noise(400, 8, 2), noise(400, 8, 3) + 0.5
    assert abs(kernel_distance(one, same, seed=0)) < 0.02
    assert kernel_distance(one, other, seed=0) > 0.3


def test_kid_draws_its_subsets_from_the_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distributions, "SUBSET_PICTURES", 50)
    one, two = noise(200, 4, 1), noise(200, 4, 2)
    assert kernel_distance(one, two, seed=3) == kernel_distance(one, two, seed=3)
    assert kernel_distance(one, two, seed=3) != kernel_distance(one, two, seed=4)


@pytest.mark.parametrize(
    ("generated", "reference", "expected"),
    [
        ([0.0], [0.0], (1, 1)),  # the same two sets
        ([0.0], [100.0], (0, 0)),  # far apart
        ([0.0], [0.0, 100.0], (1, 0.5)),  # one of two modes
        ([0.0, 100.0], [0.0], (0.5, 1)),  # a mode that is not there
    ],
)
def test_precision_and_recall_of_clusters(
    generated: list[float], reference: list[float], expected: tuple[float, float]
) -> None:
    cluster = noise(20, 4)
    sets = [torch.cat([cluster + place for place in places]) for places in (generated, reference)]
    assert precision_and_recall(*sets) == expected


def test_rows_held_at_a_time_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    sets = noise(30, 4, 1), noise(25, 4, 2) + 0.5
    at_once = precision_and_recall(*sets)
    assert 0 < at_once[0] < 1
    monkeypatch.setattr(distributions, "_ROWS", 7)
    assert precision_and_recall(*sets) == at_once


def test_a_picture_without_features_leaves_no_number() -> None:
    broken = noise(8, 3).clone()
    broken[2, 1] = math.nan
    whole = noise(8, 3, 1)
    found = [frechet_distance(broken, whole), kernel_distance(whole, broken, 0)]
    assert all(math.isnan(value) for value in [*found, *precision_and_recall(broken, whole)])


def test_equal_pictures_are_a_set_like_any_other() -> None:
    constant, whole = torch.ones(8, 3).double(), noise(8, 3)
    mean = whole.mean(dim=0)
    expected = (mean - 1).square().sum() + whole.T.cov().trace()
    assert frechet_distance(constant, whole) == pytest.approx(expected.item(), rel=1e-6)
    assert math.isfinite(kernel_distance(constant, whole, 0))
    assert precision_and_recall(constant, whole)[1] == 0
