"""A LINF of the published size: a checkpoint goes in, upscales a photograph, and comes out."""

from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from skimage.data import chelsea
from torch import Tensor

from arbiscale.cli.app import main
from arbiscale.interop.linf import linf_pairs, linf_settings
from arbiscale.interop.tensors import table_of, to_published
from arbiscale.models.local_implicit import LocalImplicit

FLOW = {"name": "flow", "args": {"name": "flow"}}
EDSR: dict[str, Any] = {
    "encoder_spec": {"name": "edsr-baseline", "args": {"no_upsampling": True}},
    "imnet_spec": FLOW,
}
RRDB: dict[str, Any] = {"encoder_spec": {"name": "rrdb", "args": {}}, "imnet_spec": FLOW, "patch_size": 3}


def random_state(arguments: dict[str, Any]) -> dict[str, Tensor]:
    """Random tensors under the published names; the flow's layers are invertible."""
    with torch.device("meta"):
        network = LocalImplicit(linf_settings(arguments, "spec", blend_patches=False))
        shapes = to_published(table_of(network, linf_pairs(network.settings)), network.state_dict())
    state = {name: torch.randn(like.shape) / 2 / like[0].numel() ** 0.5 for name, like in shapes.items()}
    for name in [name for name in state if name.startswith("imnet.") and name.endswith("_weight")]:
        state[name] = torch.linalg.qr(torch.randn(state[name].shape)).Q.contiguous()
    return state


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as end:
        main(arguments)
    return int(end.value.code or 0)


@pytest.mark.parametrize("arguments", [EDSR, RRDB], ids=["edsr-baseline", "rrdb, 3x3 patches"])
def test_a_checkpoint_of_the_published_size(arguments: dict[str, Any], tmp_path: Path) -> None:
    torch.manual_seed(0)
    state = random_state(arguments)
    source, folder, back = tmp_path / "linf.pth", tmp_path / "linf", tmp_path / "back.pth"
    torch.save({"model": {"name": "linf", "args": arguments, "sd": state}}, source)
    assert run("import-checkpoint", str(source), "--to", str(folder)) == 0

    photograph, drawn = tmp_path / "chelsea.png", tmp_path / "drawn.png"
    Image.fromarray(chelsea()[100:120, 120:150]).save(photograph)
    options = ["--model", str(folder), "--scale", "3.3x2.7", "--temperature", "0.5"]
    assert run("upscale", str(photograph), str(drawn), *options) == 0
    assert Image.open(drawn).size == (81, 66)  # height first

    assert run("export-checkpoint", str(folder), str(back)) == 0
    returned = torch.load(back, weights_only=True)["model"]["sd"]
    assert all(torch.equal(returned[name], tensor) for name, tensor in state.items())
    assert not any(returned[name].any() for name in returned.keys() - state.keys() if "_mean" not in name)
