"""Inception's features: torch-fidelity's own network, loaded without running anything in its file."""

from __future__ import annotations

import pickle
import shutil
from pathlib import Path

import pytest
import torch

from arbiscale.errors import UserError
from arbiscale.metrics import inception
from arbiscale.metrics.inception import FEATURES, load_inception


@pytest.fixture(scope="module")
def network(inception_folder: Path) -> inception.Inception:
    return load_inception(str(inception_folder))


def test_features_are_those_of_torch_fidelity(network: inception.Inception, inception_folder: Path) -> None:
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    path = str(inception_folder / "inception.pth")
    own = FeatureExtractorInceptionV3("own", ["2048"], feature_extractor_weights_path=path)
    levels = torch.randint(0, 256, (2, 3, 20, 28), generator=torch.Generator().manual_seed(0))
    (expected,) = own(levels.to(torch.uint8))
    found = network(levels / 255)
    assert found.shape == (2, FEATURES)
    assert torch.equal(found, expected)
    assert (found[0] - found[1]).abs().max() > 1e-3


def test_batches_change_nothing_and_nan_stays_nan(
    network: inception.Inception, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = torch.rand(3, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    at_once = network(images)
    images[1, 0, 0, 0] = torch.nan
    monkeypatch.setattr(inception, "BATCH", 2)
    found = network(images)
    torch.testing.assert_close(found[[0, 2]], at_once[[0, 2]])
    assert found[1].isnan().all()


def test_loading_leaves_the_random_numbers_alone(inception_folder: Path) -> None:
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    load_inception(str(inception_folder))
    assert torch.equal(torch.rand(2), expected)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_another_file_is_refused_by_name(tmp_path: Path, inception_folder: Path) -> None:
    path = tmp_path / "inception.pth"
    torch.save({"a": torch.zeros(2)}, path)
    with pytest.raises(
        UserError, match=r"inception\.pth: is not Inception \(.*\); remove it and fetch it again"
    ):
        load_inception(str(tmp_path))
    path.write_bytes(pickle.dumps(print))
    with pytest.raises(UserError, match=r"inception\.pth: is not a file of network weights"):
        load_inception(str(tmp_path))
    path.unlink()
    shutil.copy(inception_folder / "inception.pth", tmp_path / inception.INCEPTION.files[-1])
    with pytest.raises(UserError, match="is not Inception as published"):
        load_inception(str(tmp_path))
