"""NIQE: pyiqa's, on the parameters of a file; less for what looks natural."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from arbiscale.errors import UserError
from arbiscale.metrics.niqe import NIQE, load_niqe

package = pytest.importorskip("pyiqa.archs.niqe_arch", reason="pyiqa is not installed")


def photograph(noise: float) -> Tensor:
    """Structure of every size, and noise on it, (1, 3, 240, 250)."""
    generator = torch.Generator().manual_seed(0)
    layers = [
        functional.interpolate(
            torch.randn(1, 1, 2**level + 1, 2**level + 1, generator=generator) / 2**level,
            (240, 250),
            mode="bicubic",
        )
        for level in range(1, 8)
    ]
    picture = (torch.stack(layers).sum(dim=0) / 4 + 0.5).expand(-1, 3, -1, -1)
    return (picture + noise * torch.randn(1, 1, 240, 250, generator=generator)).clamp(0, 1)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Parameters fitted to one clean picture, in the layout of the published file."""
    image = package.to_y_channel(photograph(0.0), 255, "yiq").round().double()[..., :192, :192]
    normalised = package.normalize_img_with_gauss(image, padding="replicate")
    half = package.normalize_img_with_gauss(
        package.imresize(image / 255, scale=0.5, antialiasing=True) * 255, padding="replicate"
    )
    found = torch.cat(
        [
            package.blockproc(part, [side, side], fun=package.compute_feature)[0]
            for part, side in ((normalised, 96), (half, 48))
        ],
        dim=1,
    )
    np.savez(
        tmp_path / "niqe_pris_params.npz", mu_pris_param=found.mean(dim=0)[None], cov_pris_param=np.eye(36)
    )
    return tmp_path


@pytest.fixture
def niqe(folder: Path, monkeypatch: pytest.MonkeyPatch) -> NIQE:
    monkeypatch.setattr("arbiscale.pretrained.files.verified", lambda path, network: path)
    return load_niqe(str(folder))


def test_what_spoils_a_picture_makes_it_less_natural(niqe: NIQE) -> None:
    clean, noisy = niqe(torch.cat([photograph(0.0), photograph(0.1)])).tolist()
    assert clean < 1 < noisy


def test_a_picture_s_figure_depends_on_nothing_beside_it(niqe: NIQE) -> None:
    both = torch.cat([photograph(0.02), photograph(0.1)])
    assert torch.equal(niqe(both), torch.cat([niqe(both[:1]), niqe(both[1:])]))


def test_a_picture_without_structure_has_none(niqe: NIQE) -> None:
    assert niqe(torch.zeros(1, 3, 192, 192)).isnan().all()


def test_another_file_is_refused(folder: Path) -> None:
    with pytest.raises(UserError, match=r"niqe_pris_params\.npz: is not NIQE as published"):
        load_niqe(str(folder))
