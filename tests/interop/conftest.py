"""Published networks as the reference data hold them."""

import json
from pathlib import Path

import pytest
from safetensors import safe_open


class Published:
    """A published network: its configuration, weights, inputs and outputs."""

    def __init__(self, path: Path) -> None:
        with safe_open(path, "pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
            self.config = {name: json.loads(text) for name, text in file.metadata().items()}
        self.weights, self.inputs, self.outputs = (
            {name.removeprefix(kind): tensor for name, tensor in tensors.items() if name.startswith(kind)}
            for kind in ("weights.", "input.", "output.")
        )


@pytest.fixture
def published(request: pytest.FixtureRequest, shared: Path) -> Published:
    """The published network of the name that the test is parametrized with."""
    return Published(shared / "fixtures" / f"{request.param}.safetensors")
