"""Parity with the published LIIF, its file as a model folder, and the field's figures with it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

import arbiscale
from arbiscale.errors import UserError
from arbiscale.interop import import_liif, load_liif
from arbiscale.networks.liif import LIIF

if TYPE_CHECKING:
    from conftest import Published

LARGEST_ERROR = 1e-4
OWN_SIZE = (13, 17)  # of the fixture's image
TO_Y = torch.tensor([65.481, 128.553, 24.966])[:, None, None] / 255  # ITU-R BT.601


def drawings(published: Published, liif: LIIF) -> list[tuple[tuple[int, int], Tensor]]:
    """Sizes, and how far the drawing is from the published one."""
    features = liif.encode(published.inputs["low_resolution"])
    found = []
    for name, expected in published.outputs.items():
        if name.startswith("decoded_"):
            height, width = map(int, name.removeprefix("decoded_").split("x"))
            found.append(((height, width), (liif.decode(features, (height, width)) - expected).abs()))
    return found


@torch.no_grad()
@pytest.mark.parametrize("published", ["liif_edsr"], indirect=True)
def test_outputs_equal_the_published_ones(published: Published) -> None:
    liif = load_liif(published.weights)
    features = liif.encode(published.inputs["low_resolution"])
    assert (features - published.outputs["features"]).abs().max() < 1e-5
    errors = dict(drawings(published, liif))
    assert len(errors) == 4
    # At the image's own size all four areas of the last row and column are nothing but rounding errors in the
    # published code; the head's are exact.
    assert errors[OWN_SIZE].max() < 2 * LARGEST_ERROR
    errors[OWN_SIZE] = errors[OWN_SIZE][..., :-1, :-1]
    assert max(float(error.max()) for error in errors.values()) < LARGEST_ERROR / 20


@torch.no_grad()
@pytest.mark.parametrize("published", ["liif_edsr"], indirect=True)
@pytest.mark.parametrize("wrong", ["neighbours", "coordinates", "cell"])
def test_parity_notices(published: Published, wrong: str) -> None:
    liif = load_liif(published.weights)
    weight = liif.head.first.weight
    if wrong == "neighbours":  # columns before rows
        weight[:, :-4] = weight[:, :-4].unflatten(1, (-1, 3, 3)).transpose(2, 3).flatten(1)
    elif wrong == "coordinates":
        weight[:, -4:-2] = weight[:, [-3, -4]]
    else:
        weight[:, -2:] = weight[:, [-1, -2]]
    assert max(float(error.max()) for _, error in drawings(published, liif)) > 5 * LARGEST_ERROR


@pytest.mark.parametrize("published", ["liif_edsr"], indirect=True)
def test_a_file_becomes_a_model_folder(published: Published, tmp_path: Path) -> None:
    file = tmp_path / "liif.pth"
    torch.save({"model": {"name": "liif", "args": {}, "sd": published.weights}, "epoch": 3}, file)
    liif = import_liif(file, tmp_path / "model")
    assert (liif.settings.width, liif.settings.blocks, liif.settings.head.layers) == (16, 2, 4)
    model = arbiscale.load_model(tmp_path / "model", "cpu")
    image = published.inputs["low_resolution"]
    expected = published.outputs["decoded_52x68"]
    assert (model.decode(model.sample_latents(image), (52, 68)) - expected).abs().max() < LARGEST_ERROR


@pytest.mark.parametrize("published", ["liif_edsr"], indirect=True)
def test_what_does_not_fit_is_named_and_nothing_written(published: Published, tmp_path: Path) -> None:
    file = tmp_path / "liif.pth"
    published.weights["imnet.layers.0.weight"] = torch.zeros(48, 20)
    published.weights["imnet.layers.1.alpha"] = torch.zeros(1)
    del published.weights["encoder.body.1.body.2.bias"]
    torch.save({"model": {"sd": published.weights}}, file)
    with pytest.raises(UserError) as caught:
        import_liif(file, tmp_path / "model")
    assert str(caught.value) == (
        f"{file}: is not a LIIF as published: 1 missing: encoder.body.1.body.2.bias (16,); "
        "1 unexpected: imnet.layers.1.alpha; "
        "1 misshapen: imnet.layers.0.weight is (48, 20), not (48, 148)"
    )
    assert not (tmp_path / "model").exists()


def test_another_checkpoint_needs_a_preset() -> None:
    with pytest.raises(UserError, match=r"holds no LIIF .* but encoder\.conv_in\.weight, .*--preset NAME"):
        load_liif({"encoder.conv_in.weight": torch.zeros(1)})


def y_psnr(drawn: np.ndarray, truth: np.ndarray, border_px: int) -> float:
    """PSNR of the Y channel of 8-bit pictures without their border, as MATLAB's rgb2ycbcr makes it."""
    difference = torch.from_numpy(drawn.astype(np.float64) - truth).permute(2, 0, 1)
    inside = (difference * TO_Y).sum(0)[border_px:-border_px, border_px:-border_px]
    return float(10 * torch.log10(255**2 / inside.square().mean()))


def test_official_weights_reach_the_fields_figure_on_set5(shared: Path, tmp_path: Path) -> None:
    import_liif(shared / "weights" / "liif_edsr_baseline.pth", tmp_path / "liif")
    model = arbiscale.load_model(tmp_path / "liif", "cpu")
    values = []
    for path in sorted((shared / "data/benchmarks/set5/x4_LR").glob("*.png")):
        truth = np.asarray(
            Image.open(path.parents[1] / "x4_HR" / path.name.replace("LR", "HR")).convert("RGB")
        )
        low = np.asarray(Image.open(path).convert("RGB"))
        values.append(y_psnr(model.upscale(low, size=truth.shape[:2]), truth, border_px=4))
    assert np.mean(values) == pytest.approx(32.24, abs=0.03)
