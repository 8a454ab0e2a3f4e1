"""Work on pictures, shared by the processes that torchrun has started; one process alone has it all."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

from arbiscale.config.runtime import RuntimeSettings
from arbiscale.errors import UserError
from arbiscale.training.processes import process_count, started_by_torchrun

Item = TypeVar("Item")

_PATIENCE = timedelta(days=365)  # the others' shares may take longer than this one's


@dataclass(frozen=True)
class Crew:
    """The processes of one command.

    Attributes:
        count: how many they are.
        rank: number of this one; 0 speaks for all.
        local_rank: its number on its machine.
    """

    count: int = 1
    rank: int = 0
    local_rank: int = 0

    def own(self, items: Sequence[Item]) -> Sequence[Item]:
        """What this process does: each item belongs to one, by its number."""
        return items[self.rank :: self.count]

    def device(self, wanted: str) -> str:
        """A device of its own, where CUDA ones are wanted and none is named."""
        if self.count == 1 or wanted not in {"auto", "cuda"}:
            return wanted
        import torch

        devices = torch.cuda.device_count()
        return f"cuda:{self.local_rank % devices}" if devices else wanted

    def wait(self) -> None:
        """Until all are here."""
        self.total(0)

    def total(self, number: int) -> int:
        """The sum over all processes; waits for them."""
        if self.count == 1:
            return number
        import torch
        from torch import distributed

        found = torch.tensor(number)
        distributed.all_reduce(found)
        return int(found)


def require_agreement(runtime: RuntimeSettings) -> None:
    """Raise a UserError where torchrun has started another number of processes than `runtime` says."""
    if started_by_torchrun() and (started := int(os.environ["WORLD_SIZE"])) != process_count(runtime):
        raise UserError(
            f"runtime.devices x runtime.num_nodes is {process_count(runtime)}, but torchrun has started "
            f"{started} processes; make them equal"
        )


def join_crew() -> Crew:
    """The processes of this command, which can wait for each other from here on."""
    if not started_by_torchrun():
        return Crew()
    from torch import distributed

    distributed.init_process_group("gloo", timeout=_PATIENCE)
    return Crew(*(int(os.environ[name]) for name in ("WORLD_SIZE", "RANK", "LOCAL_RANK")))
