"""Fetching networks ahead: by name, from a folder, checked, and by default only what the sample needs."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import torch

from arbiscale.errors import UserError
from arbiscale.pretrained import files as weights_folder
from arbiscale.pretrained.files import DEFAULT, NETWORKS, Pretrained, fetch_weights


@pytest.fixture
def given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of two networks' files, and nothing anywhere else."""
    (tmp_path / "given").mkdir()
    (tmp_path / "given/a_features.pt").write_bytes(b"a")
    (tmp_path / "given/b-full.pth").write_bytes(b"b")
    names = {
        name: Pretrained(name.upper(), (f"{name}_features.pt", f"{name}-full.pth"), "", prefix)
        for name, prefix in {"a": "00", "b": hashlib.sha256(b"b").hexdigest()[:8]}.items()
    }
    monkeypatch.setattr(weights_folder, "NETWORKS", names)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path / "repository"))
    monkeypatch.delenv("ARBISCALE_WEIGHTS_DIR", raising=False)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    return tmp_path / "given"


def test_by_default_alexnet_alone_is_fetched() -> None:
    assert [NETWORKS[name].name for name in DEFAULT] == ["AlexNet"]


def test_copies_what_is_named_and_prints_the_sha256(
    given: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fetch_weights(["a"], given) == tmp_path / "repository/weights"
    assert (tmp_path / "repository/weights/a_features.pt").read_bytes() == b"a"
    assert hashlib.sha256(b"a").hexdigest() in capsys.readouterr().out
    fetch_weights(["a", "b"], given)
    assert (tmp_path / "repository/weights/b-full.pth").read_bytes() == b"b"


def test_copies_what_is_found_elsewhere(given: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARBISCALE_WEIGHTS_DIR", str(given))
    fetch_weights(["a"])
    fetch_weights(["a"])
    (given / "a_features.pt").write_bytes(b"newer")
    fetch_weights(["a"])
    assert (tmp_path / "repository/weights/a_features.pt").read_bytes() == b"newer"


def test_what_cannot_be_fetched_is_named(given: Path) -> None:
    with pytest.raises(UserError, match="weights: there is no network 'c'; there are: a, b"):
        fetch_weights(["c"], given)
    (given / "b-full.pth").write_bytes(b"damaged")
    with pytest.raises(UserError, match=r"b-full\.pth: is not B as published"):
        fetch_weights(["b"], given)
    (given / "b-full.pth").unlink()
    with pytest.raises(UserError, match=r"holds no B \(b_features\.pt or b-full\.pth\)"):
        fetch_weights(["b"], given)
