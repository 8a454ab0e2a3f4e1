"""MUSIQ: pyiqa's network with the weights of a file, read without executing anything in it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from arbiscale.errors import UserError
from arbiscale.metrics.musiq import load_musiq

package = pytest.importorskip("pyiqa.archs.musiq_arch", reason="pyiqa is not installed")


@pytest.fixture(autouse=True)
def unverified(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("arbiscale.pretrained.files.verified", lambda path, network: path)


def test_scores_are_those_of_pyiqa_one_by_one(tmp_path: Path) -> None:
    theirs = package.MUSIQ(pretrained=False).eval()
    torch.save(theirs.state_dict(), tmp_path / "musiq_koniq_ckpt-e95806b9.pth")
    state = torch.random.get_rng_state()
    own = load_musiq(str(tmp_path))
    assert torch.equal(torch.random.get_rng_state(), state)
    images = torch.rand(2, 3, 40, 64)
    with torch.no_grad():
        expected = theirs(images)[:, 0]
    assert torch.equal(own(images), expected)
    assert torch.allclose(torch.cat([own(images[:1]), own(images[1:])]), expected, atol=1e-5)


def test_another_network_is_refused(tmp_path: Path) -> None:
    torch.save({"weight": torch.ones(2)}, tmp_path / "musiq_koniq_ckpt-e95806b9.pth")
    with pytest.raises(UserError, match=r"musiq_koniq_ckpt-e95806b9\.pth: is not MUSIQ \("):
        load_musiq(str(tmp_path))
