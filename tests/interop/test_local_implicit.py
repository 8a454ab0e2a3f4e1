"""Published files of LIIFs and LINFs as model folders, and back to the bit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

import arbiscale
from arbiscale.errors import UserError
from arbiscale.interop import export_checkpoint, import_local_implicit
from arbiscale.interop.checkpoint_file import read_state
from arbiscale.models.folder import CONFIG, load_local_implicit

if TYPE_CHECKING:
    from conftest import Published

State = dict[str, Tensor]
NAMES = {"liif_edsr": "liif", "linf": "linf", "linf_patch": "linf-patch"}
MOST = 1e-4


def saved(path: Path, state: State, **model: Any) -> Path:
    torch.save({"model": model | {"sd": state}, "optimizer": {}, "epoch": 3}, path)
    return path


def equal(found: State, expected: State) -> bool:
    return found.keys() == expected.keys() and all(
        torch.equal(found[name], expected[name]) for name in expected
    )


@pytest.mark.parametrize(
    ("published", "name"), list(NAMES.items()), indirect=["published"], ids=list(NAMES.values())
)
@pytest.mark.parametrize("said", [True, False], ids=["described", "by tensors"])
def test_a_file_returns_to_the_bit(published: Published, name: str, said: bool, tmp_path: Path) -> None:
    """With what the published code makes the network of, whether the file said it or not."""
    model = {"name": name, "args": published.config["model"]} if said else {}
    _, left_out = import_local_implicit(
        saved(tmp_path / "in.pth", published.weights, **model), tmp_path / "model"
    )
    assert left_out == {}
    export_checkpoint(tmp_path / "model", tmp_path / "out.pth")
    back = torch.load(tmp_path / "out.pth", weights_only=True)
    assert list(back) == ["model"]
    assert (back["model"]["name"], back["model"]["args"]) == (name, published.config["model"])
    assert equal(back["model"]["sd"], published.weights)
    export_checkpoint(tmp_path / "model", tmp_path / "out.safetensors")
    assert equal(load_file(tmp_path / "out.safetensors"), published.weights)


@pytest.mark.parametrize("published", ["linf", "linf_patch"], indirect=True)
def test_an_imported_linf_draws_what_the_published_one_does(published: Published, tmp_path: Path) -> None:
    file = saved(tmp_path / "in.pth", published.weights)
    settings, _ = import_local_implicit(file, tmp_path / "model")
    assert (settings.residual, settings.head.blend_patches, settings.largest_scale) == (True, True, 4)
    image, expected = published.inputs["low_resolution"], published.outputs["decoded_temperature_0"]
    height, width = size = (30, 45)
    network = load_local_implicit(tmp_path / "model").requires_grad_(False)
    base = torch.nn.functional.interpolate(image, size, mode="bilinear")
    drawn = network.decode(network.encode(image), size, base=base)
    if settings.head.patch_px == 1:
        assert (drawn - expected).abs().max() < MOST
    else:  # patches of three grids are averaged: no longer those of one, and about as far from the base
        assert (drawn - base - expected).abs().max() > MOST
        assert (drawn - base).std() == pytest.approx(float(expected.std()), rel=0.5)
    model = arbiscale.load_model(tmp_path / "model", "cpu")
    assert model.decode(model.sample_latents(image), size, low_resolution=image).shape == (
        2,
        3,
        height,
        width,
    )


def rrdb(width: int = 8, growth: int = 4) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Weights' names and shapes of an RRDB encoder of two blocks, as published."""
    yield "conv_first", (width, 3, 3, 3)
    for block in range(2):
        for dense in (1, 2, 3):
            for layer in range(5):
                outputs = width if layer == 4 else growth
                name = f"RRDB_trunk.{block}.RDB{dense}.conv{layer + 1}"
                yield name, (outputs, width + layer * growth, 3, 3)
    for name in ("trunk_conv", "upconv1", "upconv2", "HRconv"):
        yield name, (width, width, 3, 3)
    yield "conv_last", (3, width, 3, 3)


@pytest.fixture
def rrdb_state() -> State:
    """A LINF of two RRDB blocks, 16 hidden channels, one hidden layer and two flow layers."""
    layers = {f"encoder.{name}": shape for name, shape in rrdb()}
    layers |= {"coef": (16, 8, 3, 3), "freq": (16, 8, 3, 3)}
    layers |= {"layers.0": (16, 64, 1, 1), "layers.2": (12, 16, 1, 1)}
    state = {f"{name}.weight": 0.1 * torch.randn(shape) for name, shape in layers.items()}
    state |= {f"{name}.bias": 0.1 * torch.randn(shape[0]) for name, shape in layers.items()}
    for name in ("linears.0", "linears.1", "last"):
        state |= {f"imnet.{name}._weight": torch.randn(3, 3), f"imnet.{name}.bias": torch.randn(3)}
    return state | {"phase.weight": torch.randn(8, 2)}


def test_an_rrdb_loses_its_upsampling_only(rrdb_state: State, tmp_path: Path) -> None:
    settings, left_out = import_local_implicit(saved(tmp_path / "in.pth", rrdb_state), tmp_path / "model")
    assert settings.encoder.model_dump() == {"kind": "rrdb", "width": 8, "blocks": 2, "growth": 4}
    assert (settings.head.layers, settings.head.flow_layers) == (1, 2)
    assert left_out == {"upsampling of the encoder": 8}
    export_checkpoint(tmp_path / "model", tmp_path / "out.pth")
    back = read_state(tmp_path / "out.pth")
    unused = {name for name in back if name.startswith(("encoder.upc", "encoder.HR", "encoder.conv_last"))}
    assert len(unused) == 8
    assert all(not back.pop(name).any() for name in unused)
    assert equal(back, {name: tensor for name, tensor in rrdb_state.items() if name not in unused})


def test_what_does_not_fit_is_named_and_nothing_written(rrdb_state: State, tmp_path: Path) -> None:
    rrdb_state["coef.weight"] = torch.zeros(16, 8)
    rrdb_state["encoder.RRDB_trunk.2.RDB2.conv1.weight"] = torch.zeros(1)
    del rrdb_state["imnet.last.bias"]
    file = saved(tmp_path / "in.pth", rrdb_state)
    with pytest.raises(UserError) as caught:
        import_local_implicit(file, tmp_path / "model")
    assert str(caught.value) == (
        f"{file}: is not a LINF as published: 1 missing: imnet.last.bias (3,); "
        "1 unexpected: encoder.RRDB_trunk.2.RDB2.conv1.weight; "
        "1 misshapen: coef.weight is (16, 8), not (16, 8, 3, 3)"
    )
    assert list(tmp_path.iterdir()) == [file]


def test_what_a_file_says_of_itself_counts(rrdb_state: State, tmp_path: Path) -> None:
    """Some of it, such as the scale of residuals, no tensor shows."""
    edsr = {"name": "edsr", "args": {"no_upsampling": True}}
    arguments = {"encoder_spec": edsr, "imnet_spec": {"name": "flow", "args": {"name": "flow"}}}
    file = saved(tmp_path / "in.pth", rrdb_state, name="linf", args=arguments)
    with pytest.raises(UserError, match=r"in.pth: encoder_spec.name: must be 'edsr-baseline' or 'rrdb'"):
        import_local_implicit(file, tmp_path / "model")
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize("published", ["liif_edsr"], indirect=True)
def test_a_liif_without_its_ensemble_is_refused(published: Published, tmp_path: Path) -> None:
    arguments = published.config["model"] | {"local_ensemble": False}
    file = saved(tmp_path / "in.pth", published.weights, name="liif", args=arguments)
    with pytest.raises(UserError, match="local_ensemble: must be True"):
        import_local_implicit(file, tmp_path / "model")


def test_something_else_needs_a_preset(tmp_path: Path) -> None:
    save_file({"encoder.conv_in.weight": torch.zeros(1)}, tmp_path / "in.safetensors")
    with pytest.raises(UserError, match=r"holds no LIIF or LINF .* but encoder\.conv_in.*--preset NAME"):
        import_local_implicit(tmp_path / "in.safetensors", tmp_path / "model")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"kind": "flow"', '"kind": "fourier"', "network.head.kind: 'fourier', not 'flow'"),
        ('"kind": "flow"', '"kind": "liif"', "network.encoder.kind: 'rrdb', not 'edsr'"),
        ('"residual": true', '"residual": false', "network.residual: False, not True"),
        ('"frequencies": 8', '"frequencies": 12', "network.head.width: 16, not 24"),
    ],
)
def test_what_was_never_published_stays(
    rrdb_state: State, tmp_path: Path, old: str, new: str, said: str
) -> None:
    import_local_implicit(saved(tmp_path / "in.pth", rrdb_state), tmp_path / "model")
    config = tmp_path / "model" / CONFIG
    assert old in config.read_text()
    config.write_text(config.read_text().replace(old, new))
    with pytest.raises(UserError, match="model: the published code does not support ") as caught:
        export_checkpoint(tmp_path / "model", tmp_path / "out.pth")
    assert said in str(caught.value)
    assert not (tmp_path / "out.pth").exists()
