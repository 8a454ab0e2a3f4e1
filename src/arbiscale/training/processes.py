"""The processes of a training on several devices and nodes: who this one is; imports no torch.

`torchrun` starts them all; else the first starts the others by its own command line (Lightning's launcher).
"""

from __future__ import annotations

import os

from arbiscale.config.runtime import RuntimeSettings


def started_by_torchrun() -> bool:
    """Whether ranks come from torchrun."""
    return "TORCHELASTIC_RUN_ID" in os.environ


def process_count(runtime: RuntimeSettings) -> int:
    """How many train together."""
    return runtime.devices * runtime.num_nodes


def process_rank(runtime: RuntimeSettings) -> int:
    """The number of this process; 0 is the one that writes, records and locks."""
    if process_count(runtime) == 1:
        return 0
    if started_by_torchrun():
        return int(os.environ["RANK"])
    return int(os.environ.get("NODE_RANK", 0)) * runtime.devices + int(os.environ.get("LOCAL_RANK", 0))
