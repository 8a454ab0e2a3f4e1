"""CLIP-IQA: the figure of piq's metric, from a file in the layout of OpenAI's."""

from __future__ import annotations

from pathlib import Path

import piq
import pytest
import torch
from piq.feature_extractors import clip
from torch import Tensor, nn

from arbiscale.errors import UserError
from arbiscale.metrics.clip_iqa import load_clip_iqa

TOKENS = torch.tensor(
    [[49406, 886, 1125, 269, 49407], [49406, 2103, 1125, 269, 49407]]
)  # Good photo. Bad photo.


class Holder(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return images


def scripted(state: dict[str, Tensor]) -> torch.jit.ScriptModule:
    """A network with these tensors, as TorchScript."""
    root = Holder()
    for key, value in state.items():
        *path, name = key.split(".")
        part: nn.Module = root
        for step in path:
            if not hasattr(part, step):
                part.add_module(step, Holder())
            part = getattr(part, step)
        part.register_buffer(name, value.clone())
    return torch.jit.script(root)


@pytest.fixture
def state(monkeypatch: pytest.MonkeyPatch) -> dict[str, Tensor]:
    """Of a narrow CLIP with random weights."""
    monkeypatch.setattr("arbiscale.pretrained.files.verified", lambda path, network: path)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return clip.CLIP(16, 224, (1, 1, 1, 1), 4, None, 77, 49408, 64, 1, 1).half().state_dict()


def test_the_figure_is_piq_s(state: dict[str, Tensor], tmp_path: Path) -> None:
    sizes = {name: torch.tensor(value) for name, value in (("input_resolution", 224), ("vocab_size", 49408))}
    scripted(state | sizes).save(tmp_path / "RN50.pt")
    theirs = piq.CLIPIQA.__new__(piq.CLIPIQA)  # its constructor downloads
    nn.Module.__init__(theirs)
    theirs.feature_extractor = clip.build_model(dict(state)).float()
    theirs.data_range, theirs.logit_scale = 1.0, theirs.feature_extractor.logit_scale.exp()
    tokens = torch.cat([TOKENS, torch.zeros(2, 72, dtype=torch.long)], dim=1)
    anchors = theirs.feature_extractor.encode_text(tokens)
    theirs.anchors = anchors / anchors.norm(dim=-1, keepdim=True)
    for name in ("mean", "std"):
        values = torch.tensor(getattr(piq.clip_iqa, f"OPENAI_CLIP_{name.upper()}"))
        setattr(theirs, f"default_{name}", values.view(1, 3, 1, 1))
    images = torch.rand(2, 3, 64, 96)
    random = torch.random.get_rng_state()
    own = load_clip_iqa(str(tmp_path))
    assert torch.equal(torch.random.get_rng_state(), random)
    assert torch.allclose(own(images), theirs(images)[:, 0], atol=1e-6)
    assert own(images)[0] != own(images)[1]


def test_another_network_is_refused(state: dict[str, Tensor], tmp_path: Path) -> None:
    scripted({"visual.conv1.weight": torch.ones(1)}).save(tmp_path / "RN50.pt")
    with pytest.raises(UserError, match=r"RN50\.pt: is not CLIP \("):
        load_clip_iqa(str(tmp_path))
    torch.save(state, tmp_path / "RN50.pt")
    with pytest.raises(UserError, match=r"RN50\.pt: is not a file of network weights"):
        load_clip_iqa(str(tmp_path))
