"""Section `runtime`: how to run. Nothing here changes a result."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from arbiscale.config.section import Section


class RuntimeSettings(Section):
    """Device, workers, intervals and the tracking server."""

    device: str = Field(pattern=r"^(auto|cpu|cuda(:\d+)?|mps)$", description="auto, cpu, cuda, cuda:1 or mps")
    devices: int = Field(ge=1)  # of a node, that train together
    num_nodes: int = Field(ge=1)
    accumulate: int = Field(ge=1)  # parts that a device computes its share of a batch in
    threads: int = Field(ge=0)  # 0 = torch's own choice
    # Processes that load data (None: by processors beside an accelerator, else none), and that read and cut
    # photographs (None: one a processor).
    workers: int | None = Field(ge=0, le=256)
    ray_address: str = ""  # of a cluster that measures and cuts them; empty = processes here
    deterministic: Literal["auto", "always", "never"]  # auto: on a CPU
    log_every_steps: int = Field(ge=1)
    validate_every_steps: int = Field(ge=1)
    checkpoint_every_steps: int = Field(ge=1)
    stall_minutes: int = Field(ge=0)  # without a step before a training warns; 0 = never
    webhook: str = Field(
        pattern=r"^(https?://\S+)?$", description="an address, https://..."
    )  # gets that warning too; empty = none
    mlflow_uri: str  # empty = SQLite under the repository; MLFLOW_TRACKING_URI overrides
    weights_dir: str  # pretrained metric networks; empty = environment, ./weights, torch's cache
