"""A network in ncnn's format draws what its layers draw in torch."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from arbiscale.imaging.pixels import to_tensor
from arbiscale.imaging.reading import read_image
from arbiscale.imaging.writing import write_image
from benchmarks.peer import HALF, Network, main
from tests.stand_ins import texture

PARAM = """7767517
13 15
Input        in    0 1 data
MemoryData   mean  0 1 mean 0=1 1=1 2=3
BinaryOp     sub   2 1 data mean centred 0=1
Convolution  first 1 1 centred a 0=5 1=3 4=1 5=1 6=135 9=2 -23310=1,2.000000e-01
Split        split 1 2 a a_0 a_1
PReLU        prelu 1 1 a_0 b 0=5
Eltwise      sum   2 1 b a_1 c 0=1 -23301=2,2.000000e-01,1.000000e+00
Swish        swish 1 1 c d
Convolution  last  1 1 d e 0=12 1=1 6=60
PixelShuffle up    1 1 e f 0=2
Sigmoid      gate  1 1 f g
BinaryOp     half  1 1 g h 0=2 1=1 2=5.000000e-01
Interp       up2   1 1 h out 0=1 1=2.000000e+00 2=2.000000e+00
"""


def written(folder: Path) -> tuple[Path, nn.Module]:
    """The files of a small network of factor 4, and the same in torch."""
    first, last = nn.Conv2d(3, 5, 3, padding=1), nn.Conv2d(5, 12, 1, bias=False)
    first.weight.data = first.weight.data.half().float()
    slopes, mean = torch.rand(5), torch.rand(1, 3, 1, 1)
    half = first.weight.detach().half().numpy().tobytes()
    parts = [mean, struct.pack("<I", HALF) + half + b"\0" * (-len(half) % 4), first.bias, slopes]
    parts += [struct.pack("<I", 0), last.weight]
    stored = [part if isinstance(part, bytes) else part.detach().numpy().tobytes() for part in parts]
    (folder / "net.param").write_text(PARAM)
    (folder / "net.bin").write_bytes(b"".join(stored))

    class Same(nn.Module):
        def forward(self, picture: torch.Tensor) -> torch.Tensor:
            a = functional.leaky_relu(first(picture - mean), 0.2)
            drawn = last(functional.silu(0.2 * functional.prelu(a, slopes) + a))
            halved = functional.pixel_shuffle(drawn, 2).sigmoid() * 0.5
            return functional.interpolate(halved, scale_factor=2.0, mode="nearest")

    return folder / "net.param", Same()


def test_its_layers_draw_what_torchs_draw(tmp_path: Path) -> None:
    path, same = written(tmp_path)
    picture = torch.rand(1, 3, 7, 9)
    with torch.no_grad():
        torch.testing.assert_close(Network(path)(picture), same(picture))


def test_inputs_of_the_named_scales_become_pictures_of_their_size(tmp_path: Path) -> None:
    path, same = written(tmp_path)
    for group in ("benchmark/set/x3", "benchmark/set/x4", "x2"):
        (tmp_path / "inputs" / group / "more").mkdir(parents=True)
        write_image(tmp_path / "inputs" / group / "more/a.png", texture(12, 0))
    main([str(tmp_path / "inputs"), str(tmp_path / "outputs"), f"3={path}", f"4={path}"])
    found = {file.relative_to(tmp_path / "outputs").as_posix() for file in tmp_path.rglob("outputs/**/*.png")}
    assert found == {f"benchmark/set/x{scale}/more/a.png" for scale in (3, 4)}
    drawn = read_image(tmp_path / "outputs/benchmark/set/x4/more/a.png")
    with torch.no_grad():
        expected = same((to_tensor(texture(12, 0)) + 1) / 2)[0].mul(255).round().permute(1, 2, 0)
    assert np.abs(drawn - expected.numpy()).max() <= 1
    assert read_image(tmp_path / "outputs/benchmark/set/x3/more/a.png").shape == (36, 36, 3)


def test_an_unknown_layer_is_refused(tmp_path: Path) -> None:
    (tmp_path / "net.param").write_text("7767517\n2 2\nInput in 0 1 data\nLSTM l 1 1 data out 0=1\n")
    (tmp_path / "net.bin").write_bytes(b"")
    with pytest.raises(ValueError, match="LSTM"):
        Network(tmp_path / "net.param")(torch.zeros(1, 3, 4, 4))
