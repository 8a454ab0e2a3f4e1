"""Processes that torchrun has started are as many as the parameters say."""

from __future__ import annotations

from pathlib import Path

import pytest

from arbiscale.config.params import load_params
from arbiscale.errors import UserError
from arbiscale.pipeline.crew import require_agreement


def test_another_number_of_processes_than_the_parameters_say_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two processes that both took themselves for the first waited for each other for ever."""
    runtime = load_params(Path(__file__).parents[2] / "params.yaml").runtime
    monkeypatch.delenv("TORCHELASTIC_RUN_ID", raising=False)
    monkeypatch.setenv("WORLD_SIZE", "2")
    require_agreement(runtime)
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "x")
    require_agreement(runtime.model_copy(update={"num_nodes": 2}))
    with pytest.raises(UserError, match=r"runtime\.num_nodes is 1, but torchrun has started 2 processes"):
        require_agreement(runtime)
