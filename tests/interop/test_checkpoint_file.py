"""Files of others are read without importing or calling anything that they name."""

from __future__ import annotations

import sys
import types
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from arbiscale.errors import UserError
from arbiscale.interop.checkpoint_file import read_state

STATE = {"a.weight": torch.arange(6.0).reshape(2, 3), "a.bias": torch.ones(2, dtype=torch.float16)}


@contextmanager
def module(name: str, **members: Any) -> Iterator[types.ModuleType]:
    """A module that exists while a file is written, and no more when it is read."""
    parents = [name.rsplit(".", depth)[0] for depth in range(name.count("."), -1, -1)]
    made = {parent: types.ModuleType(parent) for parent in parents}
    for member_name, member in members.items():
        if isinstance(member, type):
            member.__module__, member.__qualname__ = name, member_name
        setattr(made[name], member_name, member)
    kept = {parent: sys.modules.get(parent) for parent in made}
    sys.modules.update(made)
    try:
        yield made[name]
    finally:
        for parent, before in kept.items():
            if before is None:
                del sys.modules[parent]
            else:
                sys.modules[parent] = before


def same(found: dict[str, torch.Tensor]) -> bool:
    return found.keys() == STATE.keys() and all(torch.equal(found[name], STATE[name]) for name in STATE)


@pytest.mark.parametrize(
    "content",
    [
        STATE,
        {"state_dict": STATE, "epoch": 3},
        {"model": {"sd": STATE, "args": {"depth": 1}}},
        {"model": STATE},
    ],
    ids=["plain", "Lightning", "LIIF", "model"],
)
def test_where_the_state_may_lie(tmp_path: Path, content: dict[str, Any]) -> None:
    torch.save(content, tmp_path / "a.pt")
    assert same(read_state(tmp_path / "a.pt"))


def test_safetensors(tmp_path: Path) -> None:
    save_file(STATE, tmp_path / "a.safetensors")
    assert same(read_state(tmp_path / "a.safetensors"))


def test_an_old_lightning_file(tmp_path: Path) -> None:
    """As Lightning 1.4 wrote it: callbacks' classes as keys, subclasses of dict, OmegaConf, numpy numbers."""
    members: dict[str, Any] = {
        "ModelCheckpoint": type("ModelCheckpoint", (), {}),
        "AttributeDict": type("AttributeDict", (dict,), {}),
        "ListConfig": type("ListConfig", (), {"__getstate__": lambda self: {"_content": [1, 2]}}),
        "Slotted": type("Slotted", (), {"__getstate__": lambda self: (None, {"x": 1})}),
    }
    with module("old_lightning.callbacks", **members) as old:
        hyper_parameters = old.AttributeDict(ddconfig=old.AttributeDict(ch=128), mult=old.ListConfig())
        torch.save(
            {
                "epoch": 7,
                "pytorch-lightning_version": "1.4.2",
                "state_dict": STATE,
                "callbacks": {old.ModelCheckpoint: {"best_model_score": np.float64(0.5), "path": Path("x")}},
                "optimizer_states": [{"state": {0: {"exp_avg": torch.zeros(2)}}}],
                "hparams_type": old.AttributeDict,
                "hyper_parameters": hyper_parameters,
                "other": old.Slotted(),
            },
            tmp_path / "a.ckpt",
        )
    assert "old_lightning" not in sys.modules
    assert same(read_state(tmp_path / "a.ckpt"))
    assert "old_lightning" not in sys.modules


class Calls:
    """Pickles as a call of a function."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


def touch(path: str) -> None:
    Path(path).touch()


def test_calls_are_not_made(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    evil = [
        Calls(eval, f"open({str(marker)!r}, 'w')"),
        Calls(exec, f"open({str(marker)!r}, 'w')"),
        Calls(__import__, "antigravity"),
    ]
    with module("innocent", touch=touch) as innocent:
        touch.__module__, original = "innocent", touch.__module__
        evil.append(Calls(innocent.touch, str(marker)))
        torch.save({"evil": evil, "state_dict": STATE}, tmp_path / "a.ckpt")
        touch.__module__ = original
        assert same(read_state(tmp_path / "a.ckpt"))  # though the module is still there
    assert not marker.exists()
    assert "antigravity" not in sys.modules


def test_a_file_that_calls_the_system_is_refused(tmp_path: Path) -> None:
    import os

    marker = tmp_path / "marker"
    torch.save({"evil": Calls(os.system, f"touch {marker}"), "state_dict": STATE}, tmp_path / "a.ckpt")
    with pytest.raises(
        UserError, match=r"a.ckpt: is not read, as it wants more than tensors .*system"
    ) as caught:
        read_state(tmp_path / "a.ckpt")
    assert "\n" not in str(caught.value)
    assert not marker.exists()


def test_stand_ins_are_forgotten_afterwards(tmp_path: Path) -> None:
    with module("innocent", Thing=type("Thing", (), {})) as innocent:
        torch.save({"state_dict": STATE, "thing": innocent.Thing()}, tmp_path / "a.ckpt")
    read_state(tmp_path / "a.ckpt")
    with pytest.raises(Exception, match=r"innocent\.Thing"):
        torch.load(tmp_path / "a.ckpt", weights_only=True)


def damaged(path: Path) -> None:
    torch.save(STATE, path)
    path.write_bytes(path.read_bytes()[:-200])


def an_archive(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model.ckpt", b"something")


@pytest.mark.parametrize(
    ("name", "write", "said"),
    [
        ("a.ckpt", damaged, "is not a readable checkpoint of PyTorch 1.6 or later"),
        ("a.ckpt", an_archive, "is not a readable checkpoint of PyTorch 1.6 or later"),
        (
            "a.ckpt",
            lambda path: path.write_bytes(b""),
            "is not a readable checkpoint of PyTorch 1.6 or later",
        ),
        (
            "a.ckpt",
            lambda path: path.write_text("hello"),
            "is not a readable checkpoint of PyTorch 1.6 or later",
        ),
        ("a.ckpt", lambda path: torch.save([1], path), "holds no state dict"),
        ("a.ckpt", lambda path: torch.save({"state_dict": {}}, path), "holds no state dict"),
        ("a.safetensors", lambda path: path.write_text("hello"), "is not a readable safetensors file"),
        ("a.ckpt", lambda path: path.mkdir(), "no such file; name a .ckpt"),
        ("a.ckpt", lambda path: None, "no such file; name a .ckpt"),
    ],
)
def test_what_cannot_be_read_is_one_line(
    tmp_path: Path, name: str, write: Callable[[Path], object], said: str
) -> None:
    write(tmp_path / name)
    with pytest.raises(UserError) as caught:
        read_state(tmp_path / name)
    assert str(caught.value).startswith(f"{tmp_path / name}: {said}")
    assert "\n" not in str(caught.value)
