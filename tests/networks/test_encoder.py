import torch
from torch.distributions import Normal, kl_divergence
from torch.testing import assert_close

from arbiscale.networks.encoder import Posterior

MOMENTS = torch.randn(2, 8, 3, 5, generator=torch.Generator().manual_seed(0))


def test_moments_are_a_point_or_mean_and_log_variance() -> None:
    point, gaussian = Posterior.from_moments(MOMENTS, False), Posterior.from_moments(MOMENTS, True)
    assert point.mode() is MOMENTS
    assert torch.equal(gaussian.mode(), MOMENTS[:, :4])
    assert gaussian.logvar is not None
    assert torch.equal(gaussian.logvar, MOMENTS[:, 4:])


def test_log_variances_are_kept_where_their_exponential_is_finite() -> None:
    posterior = Posterior.from_moments(torch.tensor([0.0, 0.0, -1e9, 1e9]).reshape(1, 4, 1, 1), True)
    assert posterior.logvar is not None
    assert posterior.logvar.flatten().tolist() == [-30, 20]
    assert posterior.kl().isfinite().all()


def test_divergence_is_torchs() -> None:
    posterior = Posterior.from_moments(MOMENTS, True)
    deviation = (0.5 * MOMENTS[:, 4:]).exp()
    expected = kl_divergence(Normal(posterior.mean, deviation), Normal(0.0, 1.0)).flatten(1).mean(1)
    assert posterior.kl().shape == (2,)
    assert_close(posterior.kl(), expected)


def test_divergence_in_closed_form() -> None:
    zeros = torch.zeros(1, 2, 2, 2)
    assert Posterior(zeros, zeros).kl().item() == 0
    assert Posterior(zeros + 3, zeros).kl().item() == 4.5  # mean^2 / 2
    assert_close(Posterior(zeros, zeros + 2).kl(), torch.tensor([0.5 * (torch.e**2 - 3)]))
    assert Posterior(MOMENTS).kl().tolist() == [0, 0]


def test_draws_have_the_mean_and_the_variance() -> None:
    mean, logvar = torch.full((1, 1, 300, 300), 2.0), torch.full((1, 1, 300, 300), -1.0)
    draw = Posterior(mean, logvar).sample(torch.Generator().manual_seed(0))
    assert abs(float(draw.mean()) - 2) < 0.01
    assert abs(float(draw.var()) - 1 / torch.e) < 0.01


def test_draws_are_the_generators_and_differentiable() -> None:
    moments = MOMENTS.clone().requires_grad_()
    posterior = Posterior.from_moments(moments, True)
    draws = [posterior.sample(torch.Generator().manual_seed(4)) for _ in range(2)]
    assert torch.equal(*draws)
    draws[0].sum().backward()
    assert moments.grad is not None
    assert (moments.grad[:, :4] == 1).all()
    assert moments.grad[:, 4:].any()
