"""The few figures of an evaluation that `dvc exp show` and `dvc metrics diff` compare."""

from __future__ import annotations

from arbiscale.evaluation.scores import Means

_SCALE = "x4"  # where it was evaluated, else the largest
_FIGURES = ("psnr", "lpips", "consistency", "grid_energy", "self_ssim", "fid")


def summary(means: Means, row: str, *, over: str = "bicubic") -> dict[str, float]:
    """At most eight figures of one row of the table, by names such as `x4_psnr`.

    The group is the protocol `sample` at x4; where that was not evaluated its largest scale, else the first
    group that has the row. Beside the row's own metrics stand its gain in PSNR over another row, and its
    LPIPS as a share of the other's. Metrics without a value are left out.

    Args:
        means: the table.
        row: the model whose figures count.
        over: the row that it is compared with.
    """
    groups = [group for group, rows in means.items() if row in rows]
    if not groups:
        return {}
    scales = sorted((group for group in groups if group[:1] == "x" and "/" not in group), key=_factor)
    group = _SCALE if _SCALE in scales else (scales or groups[:1])[-1]
    found = {name: value for name in _FIGURES if (value := means[group][row].get(name)) is not None}
    other = means[group].get(over, {})
    if (psnr := other.get("psnr")) is not None and "psnr" in found:
        found["psnr_gain_db"] = found["psnr"] - psnr
    if (lpips := other.get("lpips")) and "lpips" in found:
        found[f"lpips_over_{over}"] = found["lpips"] / lpips
    return {f"{group}_{name}".replace("/", "_"): value for name, value in found.items()}


def _factor(group: str) -> float:
    """The scale of a group such as `x2.7`."""
    try:
        return float(group[1:])
    except ValueError:
        return 0.0
