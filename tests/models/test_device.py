import pytest
import torch

from arbiscale.errors import UserError
from arbiscale.models import device
from arbiscale.models.device import choose_device, worker_count


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A machine with a CPU only, whatever this one is."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    return monkeypatch


def test_auto_takes_the_best_there_is(machine: pytest.MonkeyPatch) -> None:
    assert choose_device("auto") == torch.device("cpu")
    machine.setattr(torch.backends.mps, "is_available", lambda: True)
    assert choose_device("auto") == torch.device("mps")
    machine.setattr(torch.cuda, "is_available", lambda: True)
    assert choose_device("auto") == torch.device("cuda")


def test_what_is_there_can_be_named(machine: pytest.MonkeyPatch) -> None:
    machine.setattr(torch.cuda, "is_available", lambda: True)
    machine.setattr(torch.cuda, "device_count", lambda: 2)
    assert choose_device("cpu") == torch.device("cpu")
    assert choose_device("cuda") == torch.device("cuda")
    assert choose_device("cuda:1") == torch.device("cuda:1")
    with pytest.raises(UserError, match="device 'cuda:2': this machine has none; use auto or cpu"):
        choose_device("cuda:2")


@pytest.mark.usefixtures("machine")
@pytest.mark.parametrize("name", ["cuda", "cuda:0", "mps"])
def test_what_is_not_there_is_refused(name: str) -> None:
    with pytest.raises(UserError, match=f"device '{name}': this machine has none; use auto or cpu"):
        choose_device(name)


@pytest.mark.parametrize("name", ["gpu", "", "cuda:x", "meta", "xla"])
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(UserError, match=f"device '{name}': is none of auto, cpu, cuda, cuda:N, mps"):
        choose_device(name)


def test_workers_follow_the_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "available_processors", lambda: 16)
    gpu = torch.device("cuda")
    assert worker_count(None, torch.device("cpu")) == 0
    assert worker_count(None, gpu) == 8
    assert worker_count(None, gpu, processes=4) == 3
    assert worker_count(None, gpu, processes=32) == 1
    assert worker_count(5, gpu) == worker_count(5, torch.device("cpu")) == 5
