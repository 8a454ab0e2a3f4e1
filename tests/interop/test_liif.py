"""Parity with the published LIIF, its file as a model folder, and the field's figures with it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
from torch import Tensor

import arbiscale
from arbiscale.errors import UserError
from arbiscale.interop import import_local_implicit, load_liif
from arbiscale.models.local_implicit import LocalImplicit

if TYPE_CHECKING:
    from conftest import Published

LARGEST_ERROR = 1e-4
OWN_SIZE = (13, 17)  # of the fixture's image


def drawings(published: Published, liif: LocalImplicit) -> list[tuple[tuple[int, int], Tensor]]:
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
    # At the image's own size all four areas of the last row and column are zero in the published code, which
    # so averages pixels with their neighbours there; the head draws them as it does the others.
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
    settings, left_out = import_local_implicit(file, tmp_path / "model")
    assert (settings.encoder.width, settings.encoder.blocks, settings.head.layers) == (16, 2, 4)
    assert left_out == {}
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
        import_local_implicit(file, tmp_path / "model")
    assert str(caught.value) == (
        f"{file}: is not a LIIF as published: 1 missing: encoder.body.1.body.2.bias (16,); "
        "1 unexpected: imnet.layers.1.alpha; "
        "1 misshapen: imnet.layers.0.weight is (48, 20), not (48, 148)"
    )
    assert not (tmp_path / "model").exists()


def test_another_checkpoint_needs_a_preset() -> None:
    with pytest.raises(UserError, match=r"holds no LIIF .* but encoder\.conv_in\.weight, .*--preset NAME"):
        load_liif({"encoder.conv_in.weight": torch.zeros(1)})
