"""What an encoder needs, and freed memory that is used again without asking the system for pages."""

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.weak import WeakIdKeyDictionary

from arbiscale.config.local_implicit import ImageEncoderSettings
from arbiscale.errors import UserError
from arbiscale.inference.memory import bytes_per_encoded_pixel, fit_tiling
from arbiscale.networks.image_encoder import ImageEncoder


class LivingBytes(TorchDispatchMode):
    """Counts the bytes of tensors that are made inside it, and the most of them at once."""

    def __init__(self) -> None:
        super().__init__()
        self.living = WeakIdKeyDictionary()
        self.most = 0

    def __torch_dispatch__(self, call: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = call(*args, **(kwargs or {}))
        storage = made.untyped_storage()
        self.living[storage] = storage.nbytes()
        self.most = max(self.most, sum(self.living.values()))
        return made


@pytest.mark.parametrize(
    "settings",
    [{"kind": "edsr", "width": 64}, {"kind": "rrdb", "width": 64}, {"kind": "rrdb", "width": 16}],
    ids=lambda settings: "{kind}-{width}".format(**settings),
)
def test_an_encoder_needs_what_is_reckoned_with(settings: dict[str, Any]) -> None:
    """Tensors take no more; measured with the allocator's gaps and convolutions' own memory it is more."""
    made = ImageEncoderSettings(blocks=2, **settings)
    encoder = ImageEncoder(made)
    with torch.no_grad(), LivingBytes() as counted:
        encoder(torch.zeros(1, 3, 40, 40))
    reckoned = 40 * 40 * bytes_per_encoded_pixel(made)
    assert 0.5 * reckoned < counted.most <= reckoned


def test_a_tile_is_any_whole_number() -> None:
    expected = fit_tiling(torch.device("cpu"), (80, 80), 40, 1)
    assert expected is not None
    assert fit_tiling(torch.device("cpu"), (80, 80), np.int64(40), 1) == expected
    for tile in (31, 40.0, True, "large", None):
        with pytest.raises(UserError, match=f"tile {tile}: must be auto, none or at least 32 px"):
            fit_tiling(torch.device("cpu"), (80, 80), tile, 1)


SCRIPT = """
import resource
import torch
from arbiscale.inference.memory import configure_malloc
if {keep}:
    configure_malloc()
for _ in range(2):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        torch.ones(12 << 20)  # 48 MiB, more than glibc keeps by itself
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(
    sys.platform != "linux",
    reason="only glibc's allocator is adjusted, and torch on Linux comes for glibc alone",
)
def test_pages_are_asked_for_once() -> None:
    faults = [
        int(
            subprocess.run(
                [sys.executable, "-c", SCRIPT.format(keep=keep)], capture_output=True, check=True
            ).stdout
        )
        for keep in (False, True)
    ]
    assert faults[1] < faults[0] / 10
