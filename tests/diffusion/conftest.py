"""Forward processes."""

from collections.abc import Callable
from typing import Any

import pytest

from arbiscale.config.diffusion import ProcessSettings
from arbiscale.diffusion.process import DiffusionProcess


@pytest.fixture(scope="session")
def make_process() -> Callable[..., DiffusionProcess]:
    """Makes processes; keywords replace the settings of the pipeline."""

    def make(**changes: Any) -> DiffusionProcess:
        values = {"timesteps": 1000, "beta_start": 0.0015, "beta_end": 0.0155, "prediction": "v"}
        return DiffusionProcess(ProcessSettings(**{"zero_terminal_snr": False, **values, **changes}))

    return make
