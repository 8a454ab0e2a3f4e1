"""Files of network weights: tensors by their names, and nothing in a file is executed."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from arbiscale.errors import UserError
from arbiscale.pretrained.reading import load_arrays, load_scripted, load_state


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_state_dicts_load_without_executing_anything(tmp_path: Path) -> None:
    path = tmp_path / "net.pt"
    torch.save({"a": torch.ones(2)}, path)
    assert torch.equal(load_state(path)["a"], torch.ones(2))
    path.write_bytes(pickle.dumps(print))
    with pytest.raises(UserError, match=r"net\.pt: is not a file of network weights"):
        load_state(path)
    path.write_bytes(b"")
    with pytest.raises(UserError, match=r"net\.pt: is not a file of network weights"):
        load_state(path)
    torch.save([1], path)
    with pytest.raises(UserError, match=r"net\.pt: holds no state dict"):
        load_state(path)


def test_a_scripted_network_gives_its_state_dict(tmp_path: Path) -> None:
    network = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
    torch.jit.script(network).save(tmp_path / "net.pt")
    state = load_scripted(tmp_path / "net.pt")
    assert {*state} == {"0.weight", "0.bias"}
    assert torch.equal(state["0.weight"], network[0].weight)


def test_arrays_are_tensors_by_their_names(tmp_path: Path) -> None:
    np.savez(tmp_path / "net.npz", mean=np.arange(3.0))
    assert torch.equal(load_arrays(tmp_path / "net.npz")["mean"], torch.arange(3.0, dtype=torch.float64))
    np.savez(tmp_path / "objects.npz", mean=np.array([print], dtype=object))
    with pytest.raises(UserError, match=r"objects\.npz: is not a file of network weights"):
        load_arrays(tmp_path / "objects.npz")


@pytest.mark.parametrize("read", [load_scripted, load_arrays])
def test_damaged_files_are_named(read: Callable[[Path], object], tmp_path: Path) -> None:
    (tmp_path / "net.pt").write_bytes(b"damaged")
    with pytest.raises(UserError, match=r"net\.pt: is not a file of network weights"):
        read(tmp_path / "net.pt")
