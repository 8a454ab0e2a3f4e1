"""The summary: at most eight figures, of the group that models are compared by."""

from __future__ import annotations

import pytest

from arbiscale.evaluation.scores import Means
from arbiscale.evaluation.summary import summary

BICUBIC = {"psnr": 25.0, "lpips": 0.5, "fps": 9.0}
ALIGNED = {"psnr": 26.5, "ssim": 0.7, "lpips": 0.3, "consistency": 40.0, "self_ssim": 0.9, "grid_energy": 1.1}
ROWS = {"bicubic": BICUBIC, "aligned": ALIGNED}


def test_super_resolution_is_summed_up_at_x4() -> None:
    means: Means = {"x2": ROWS, "x4": ROWS, "x8": ROWS, "benchmark/set5/x4": ROWS}
    assert summary(means, "aligned") == {
        **{f"{name}_x4": value for name, value in ALIGNED.items()},
        "psnr_x4_gain_db": 1.5,
        "lpips_x4_over_bicubic": pytest.approx(0.6),
    }


def test_without_x4_the_largest_scale_counts_and_without_sample_the_first_protocol() -> None:
    assert "psnr_x8.5" in summary({"x2": ROWS, "x8.5": ROWS, "x3": ROWS}, "aligned")
    means: Means = {"crops/x12": ROWS, "crops/x8": ROWS, "benchmark/set5/x4": ROWS}
    assert "psnr_crops_x12" in summary(means, "aligned")


def test_what_has_no_value_is_left_out() -> None:
    rows = {"bicubic": {"psnr": 25.0}, "aligned": {"lpips": 0.3}}
    assert summary({"x4": rows}, "aligned") == {"lpips_x4": 0.3}
    assert summary({"x4": ROWS}, "another") == {}


def test_generation_is_summed_up_at_the_first_size() -> None:
    first = {"self_ssim": 0.9, "grid_energy": 1.2, "fid": 12.0, "kid": 0.01}
    means: Means = {
        "reconstruction": {"autoencoder": {"psnr": 30.0}},
        "generation/64x64": {"aligned": first | {"fps": 2.0}},
        "generation/96x96": {"aligned": {"fid": 20.0}},
    }
    assert summary(means, "aligned") == first
