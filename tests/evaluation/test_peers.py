"""Peers: what other programs draw becomes rows of the same table, by the same measures."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from arbiscale.config.evaluate import EvaluateSettings
from arbiscale.errors import UserError
from arbiscale.evaluation.held_out import HeldOutData, HeldOutPhotograph
from arbiscale.evaluation.inputs import write_inputs
from arbiscale.evaluation.peers import identity_of, load_row
from arbiscale.evaluation.protocols import BENCHMARK
from arbiscale.evaluation.rows import Upscalers
from arbiscale.evaluation.scores import Evaluation
from arbiscale.evaluation.super_resolution import SuperResolution
from arbiscale.imaging.reading import read_image
from arbiscale.imaging.writing import write_image
from arbiscale.workspace import SHIPPED_MODEL
from tests.stand_ins import NO_NETWORKS, StandIn, Still, evaluated, still, texture

PICTURES = [still("a", texture(65, 0)), still("b/c", texture(48, 1))]


def measured(peers: Mapping[str, Any], scale: float, pictures: list[Still] = PICTURES) -> Evaluation:
    """The protocol `benchmark` on a data set `set`, with peers."""
    models: Any = {"autoencoder": StandIn("reconstruction"), "diffusion": StandIn("super_resolution")}
    upscalers = Upscalers(models, {}, 0, 1)
    return evaluated(
        lambda album: SuperResolution(
            BENCHMARK, "set", pictures, [scale], upscalers, NO_NETWORKS, album, peers=peers
        )
    )


def nearest(path: Path) -> Path:
    """Weights of a Real-ESRGAN (compact) of factor 2 whose layers are nothing: it repeats every pixel."""
    shapes = {0: (8, 3, 3, 3), 1: (8,), 2: (8, 8, 3, 3), 3: (8,), 4: (3 * 2**2, 8, 3, 3)}
    weights = {f"body.{layer}.weight": torch.zeros(shape) for layer, shape in shapes.items()}
    biases = {f"body.{layer}.bias": torch.zeros(shapes[layer][0]) for layer in (0, 2, 4)}
    torch.save(weights | biases, path)
    return path


def psnr_of(enlarge: Callable[[Image.Image, tuple[int, int]], Image.Image], scale: int) -> list[float]:
    """Y-PSNR of pictures enlarged from the protocol's own low resolutions, computed apart."""
    from skimage.color import rgb2ycbcr
    from skimage.metrics import peak_signal_noise_ratio

    from arbiscale.evaluation.pairs import Preparation

    found = []
    for number in range(len(PICTURES)):
        (truth, low) = Preparation(BENCHMARK, PICTURES, [scale])[number].pairs[scale]
        height, width = truth.shape[1:]
        small = Image.fromarray(low.permute(1, 2, 0).numpy())
        large = np.asarray(enlarge(small, (width, height)))
        y_truth, y_large = (
            rgb2ycbcr(each)[scale:-scale, scale:-scale, 0] for each in (truth.permute(1, 2, 0).numpy(), large)
        )
        found.append(peak_signal_noise_ratio(y_truth, y_large, data_range=255))
    return found


def test_a_network_that_spandrel_knows_is_a_row(tmp_path: Path) -> None:
    peer = load_row(f"spandrel:{nearest(tmp_path / 'network.pth')}", "cpu")
    evaluation = measured({"peer": peer}, 2)
    expected = psnr_of(lambda small, size: small.resize(size, Image.Resampling.NEAREST), 2)
    own = evaluation.scores[evaluation.scores.row == "peer"]
    assert own.psnr.tolist() == pytest.approx(expected, abs=1e-3)
    means = evaluation.means()["benchmark/set/x2"]
    assert [*means][-1] == "peer"
    assert means["peer"]["fps"] > 0
    assert "self_ssim" not in means["peer"]  # it has one factor
    assert evaluation.problems() == []


def test_beyond_its_factor_a_networks_pictures_are_resized(tmp_path: Path) -> None:
    peer = load_row(f"spandrel:{nearest(tmp_path / 'network.pth')}", "cpu")

    def enlarge(small: Image.Image, size: tuple[int, int]) -> Image.Image:
        doubled = small.resize((2 * small.width, 2 * small.height), Image.Resampling.NEAREST)
        return doubled.resize(size, Image.Resampling.BICUBIC)

    own = measured({"peer": peer}, 3).scores
    assert own[own.row == "peer"].psnr.tolist() == pytest.approx(psnr_of(enlarge, 3), abs=0.05)


def test_what_another_program_makes_of_the_inputs_is_a_row(
    tmp_path: Path, evaluate_settings: Callable[..., EvaluateSettings]
) -> None:
    for picture in PICTURES:
        (tmp_path / f"set/{picture.name}").parent.mkdir(parents=True, exist_ok=True)
        write_image(tmp_path / f"set/{picture.name}.png", picture.pixels)
    folders = {"div2k": "", "faces": "", "benchmark": [f"set={tmp_path / 'set'}"]}
    settings = evaluate_settings(protocols=["benchmark"], folders=folders)
    inputs, outputs = tmp_path / "inputs", tmp_path / "outputs"
    assert [*write_inputs(HeldOutData([]), settings, 0, inputs)] == []
    written = sorted(path.relative_to(inputs).as_posix() for path in inputs.rglob("*.png"))
    assert written == [f"benchmark/set/x{scale}/{name}.png" for scale in (2, 3, 4) for name in ("a", "b/c")]
    for name in written:  # the other program
        small = Image.fromarray(read_image(inputs / name))
        (outputs / name).parent.mkdir(parents=True, exist_ok=True)
        small.resize((4 * small.width, 4 * small.height), Image.Resampling.NEAREST).save(
            (outputs / name).with_suffix(".webp"), lossless=True
        )
    own = measured({"peer": load_row(f"folder:{outputs}", "cpu")}, 4).scores
    expected = psnr_of(lambda small, size: small.resize(size, Image.Resampling.NEAREST), 4)
    assert own[own.row == "peer"].psnr.tolist() == pytest.approx(expected, abs=1e-3)
    assert own[own.row == "peer"].seconds.isna().all()


def test_inputs_are_of_the_chosen_protocols_and_what_is_too_small_is_said(
    tmp_path: Path, evaluate_settings: Callable[..., EvaluateSettings]
) -> None:
    write_image(tmp_path / "p.png", texture(80, 0))
    photograph = HeldOutPhotograph("p", tmp_path / "p.png", "p", (80, 80))
    write_image(tmp_path / "small.png", texture(64, 0)[:8, :8])
    folders = {"div2k": "", "faces": "", "benchmark": [f"set={tmp_path}"]}
    settings = evaluate_settings(protocols=["sample"], folders=folders, scales=[2.5])
    assert [*write_inputs(HeldOutData([photograph]), settings, 0, tmp_path / "inputs")] == []
    assert [path.name for path in (tmp_path / "inputs").rglob("*.png")] == ["p-0.png"]
    assert read_image(tmp_path / "inputs/x2.5/p-0.png").shape == (26, 26, 3)
    settings = evaluate_settings(protocols=["benchmark"], folders=folders)
    problems = [*write_inputs(HeldOutData([photograph]), settings, 0, tmp_path / "more")]
    assert "benchmark: small of 8x8 px is too small for x4 and left out" in problems


def test_pictures_missing_or_of_another_size_are_said_and_the_rest_stands(tmp_path: Path) -> None:
    group = tmp_path / "benchmark/set/x4"
    group.mkdir(parents=True)
    write_image(group / "a.png", texture(60, 0))
    evaluation = measured({"peer": load_row(f"folder:{tmp_path}", "cpu")}, 4)
    assert evaluation.problems() == [
        f"{group / 'a.png'}: is 60x60 px, not 64x64",
        f"folder:{group / 'b/c'}: no such picture; `arbiscale inputs` writes what each is made of",
    ]
    means = evaluation.means()["benchmark/set/x4"]
    assert means["peer"] == {}
    assert means["bicubic"]["psnr"] > 10


def test_two_pictures_of_one_name_are_refused(tmp_path: Path) -> None:
    group = tmp_path / "benchmark/set/x4"
    group.mkdir(parents=True)
    for suffix in (".png", ".bmp"):
        Image.fromarray(texture(64, 0)).save(group / f"a{suffix}")
    evaluation = measured({"peer": load_row(f"folder:{tmp_path}", "cpu")}, 4, PICTURES[:1])
    assert "2 pictures of one name" in evaluation.problems()[0]


def test_the_identity_of_a_peer_follows_what_it_draws(tmp_path: Path) -> None:
    folder = tmp_path / "drawn"
    folder.mkdir()
    write_image(folder / "a.png", texture(64, 0))
    before = identity_of(load_row(f"folder:{folder}", "cpu"))
    assert identity_of(load_row(f"folder:{folder}", "cpu")) == before
    write_image(folder / "a.png", texture(64, 1))
    assert identity_of(load_row(f"folder:{folder}", "cpu")) != before


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("spandrel:nowhere.pth", "spandrel:nowhere.pth: no such file"),
        ("folder:nowhere", "folder:nowhere: no such folder"),
        ("spandrel:text.pth", "text.pth: spandrel does not recognise it"),
        ("spandrel:other.pth", "other.pth: spandrel does not recognise it"),
    ],
)
def test_a_peer_that_cannot_be_loaded_is_one_line(
    where: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    Path("text.pth").write_text("no weights")
    torch.save({"weight": torch.zeros(2)}, "other.pth")
    with pytest.raises(UserError) as error:
        load_row(where, "cpu")
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_a_model_lies_in_the_repository_where_dvc_s_copy_of_the_workspace_lacks_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Git and DVC ignore `pretrained/`, so that no experiment of the queue has it beside it."""
    monkeypatch.setenv("DVC_ROOT", str(tmp_path / "repository"))
    (copy := tmp_path / "copy").mkdir()
    monkeypatch.chdir(copy)
    shutil.copytree(SHIPPED_MODEL, tmp_path / "repository/pretrained/mine")
    assert load_row("pretrained/mine", "cpu").task == "super_resolution"


def test_a_model_draws_at_the_evaluations_fidelity() -> None:
    assert load_row("pretrained", "cpu").fidelity == 1.0  # the shipped one's own
    assert load_row("pretrained", "cpu", 0.25).fidelity == 0.25
