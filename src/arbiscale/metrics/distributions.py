"""How far one set of pictures is from another, by their features: torch-fidelity's metrics, on tensors."""

from __future__ import annotations

from torch import Tensor

NEIGHBOURS = 3  # of precision and recall (arXiv 1904.06991)
LEAST_PICTURES = NEIGHBOURS + 1  # in either set
SUBSETS, SUBSET_PICTURES = 100, 1000  # of KID (arXiv 1801.01401)
_ROWS = 2000  # of a matrix of distances that is held at a time: 400 MB of 50,000 columns


def frechet_distance(generated: Tensor, reference: Tensor) -> float:
    """FID, the Fréchet distance of two Gaussians with the sets' means and covariances (arXiv 1706.08500).

    It is too high for few pictures, and means little for fewer than there are features.

    Args:
        generated: features, shape (pictures, features), at least LEAST_PICTURES.
        reference: features, shape (other pictures, features), at least LEAST_PICTURES.

    Returns:
        0 where means and covariances are equal; NaN where a feature is NaN.
    """
    from torch_fidelity.metric_fid import (
        KEY_METRIC_FID,
        fid_features_to_statistics,
        fid_statistics_to_metric,
    )

    if not _finite(generated, reference):
        return float("nan")
    statistics = (fid_features_to_statistics(each.cpu().double()) for each in (generated, reference))
    return float(fid_statistics_to_metric(*statistics, verbose=False)[KEY_METRIC_FID])


def kernel_distance(generated: Tensor, reference: Tensor, seed: int) -> float:
    """KID, the squared maximum mean discrepancy under a cubic kernel (arXiv 1801.01401); unbiased.

    The mean over 100 subsets of 1,000 pictures; of all pictures of the smaller set where it has fewer.

    Args:
        generated: features, shape (pictures, features), at least LEAST_PICTURES.
        reference: features, shape (other pictures, features), at least LEAST_PICTURES.
        seed: of the subsets.

    Returns:
        About 0, or slightly below, for sets of one distribution; NaN where a feature is NaN.
    """
    from torch_fidelity.metric_kid import KEY_METRIC_KID_MEAN, kid_features_to_metric

    if not _finite(generated, reference):
        return float("nan")
    found = kid_features_to_metric(
        generated.cpu().double(),
        reference.cpu().double(),
        kid_subsets=SUBSETS,
        kid_subset_size=min(SUBSET_PICTURES, len(generated), len(reference)),
        rng_seed=seed,
        verbose=False,
    )
    return float(found[KEY_METRIC_KID_MEAN])


def precision_and_recall(generated: Tensor, reference: Tensor) -> tuple[float, float]:
    """The share of either set that lies in the other's manifold (arXiv 1904.06991).

    A set's manifold is the balls around its pictures that reach to their third neighbours.

    Args:
        generated: features, shape (pictures, features), at least LEAST_PICTURES.
        reference: features, shape (other pictures, features), at least LEAST_PICTURES.

    Returns:
        Precision (generated pictures that look like the reference) and recall (reference pictures that the
        generated ones cover), each in [0, 1]; NaN where a feature is NaN.
    """
    from torch_fidelity.metric_prc import KEY_METRIC_PRECISION, KEY_METRIC_RECALL, prc_features_to_metric

    if not _finite(generated, reference):
        return float("nan"), float("nan")
    found = prc_features_to_metric(
        generated,
        reference,
        prc_neighborhood=NEIGHBOURS,
        prc_batch_size=_ROWS,
        save_cpu_ram=True,
        verbose=False,
    )
    return float(found[KEY_METRIC_PRECISION]), float(found[KEY_METRIC_RECALL])


def _finite(*features: Tensor) -> bool:
    return all(bool(each.isfinite().all()) for each in features)
