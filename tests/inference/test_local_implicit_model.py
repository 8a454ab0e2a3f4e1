"""A LIIF's façade: any size, tiles, and what it refuses."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from arbiscale.config.autoencoder import HeadSettings
from arbiscale.config.local_implicit import ImageEncoderSettings, LocalImplicitSettings
from arbiscale.errors import UserError
from arbiscale.imaging.coordinates import Region
from arbiscale.inference import decoding as decoding_module
from arbiscale.inference import memory
from arbiscale.inference.loading import load_model
from arbiscale.inference.local_implicit_model import LocalImplicitModel, UnfoldedRows
from arbiscale.inference.model import Model
from arbiscale.models.folder import LocalImplicitConfig, save_local_implicit
from arbiscale.models.local_implicit import LocalImplicit


def settings(width: int) -> LocalImplicitSettings:
    """A LIIF's."""
    return LocalImplicitSettings(
        encoder=ImageEncoderSettings(kind="edsr", width=width, blocks=2),
        head=HeadSettings(width=8, layers=2),
        residual=False,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    liif = LocalImplicit(settings(8))
    folder = tmp_path_factory.mktemp("models") / "liif"
    save_local_implicit(folder, LocalImplicitConfig(network=liif.settings), liif)
    return folder


@pytest.fixture(scope="module")
def model(folder: Path) -> Model:
    return load_model(folder, "cpu")


def picture(height_px: int, width_px: int, channels: int = 3) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height_px, width_px, channels), dtype=np.uint8)


def test_the_folder_says_what_it_is(folder: Path, model: Model) -> None:
    assert json.loads((folder / "config.json").read_text())["format"] == "arbiscale-local-implicit-1"
    assert isinstance(model, LocalImplicitModel)
    assert (model.task, model.factor, model.downsampling, model.base_kernel) == (
        "super_resolution",
        1,
        1,
        None,
    )
    assert not any(parameter.requires_grad for parameter in model.network.parameters())


@pytest.mark.parametrize("size", [(48, 80), (12, 20), (5, 200), (31, 33), (1, 1)])
def test_pictures_and_tensors_are_drawn_alike_at_any_size(model: Model, size: tuple[int, int]) -> None:
    low = picture(12, 20)
    image = torch.from_numpy(low).permute(2, 0, 1)[None] / 127.5 - 1
    whole = model.decode(model.sample_latents(image), size)
    assert not model.reads_picture
    drawn = torch.from_numpy(model.upscale(low, size=size)).permute(2, 0, 1)[None] / 127.5 - 1
    assert (drawn - whole.clamp(-1, 1)).abs().max() <= 0.5 / 127.5 + 1e-5


def test_tiles_leave_no_seams(model: Model) -> None:
    low = picture(90, 150)
    whole = model.upscale(low, scale=1.7, tile="none").astype(int)
    tiled = model.upscale(low, scale=1.7, tile=40).astype(int)
    assert np.abs(whole - tiled).max() <= 1


def test_tiles_come_by_themselves_where_memory_is_short(
    model: LocalImplicitModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = []
    encode = LocalImplicit.encode

    def record(network: LocalImplicit, image: torch.Tensor) -> torch.Tensor:
        sizes.append(tuple(image.shape[2:]))
        return encode(network, image)

    monkeypatch.setattr(LocalImplicit, "encode", record)
    model.sample(picture(90, 150))
    assert sizes == [(90, 150)]
    sizes.clear()
    needed = memory.bytes_per_encoded_pixel(model.network.settings.encoder)
    monkeypatch.setattr(memory, "_WORKING_BYTES", 80 * 80 * needed)
    model.sample(picture(90, 150))
    assert len(sizes) > 1
    assert max(map(max, sizes)) <= 80


@pytest.mark.parametrize("size", [(20, 30), (100, 120)])
def test_few_rows_of_features_are_read_at_once(
    folder: Path, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int]
) -> None:
    """A picture made smaller reads many for each of its own, also where only a part of it is drawn."""
    drawing = load_model(folder, "cpu").sample(picture(90, 150))
    whole, part = drawing.draw(size), drawing.region(size, (3, 5, 16, 20))
    read = []
    part_of = UnfoldedRows.part

    def record(features: UnfoldedRows, region: Region) -> torch.Tensor:
        read.append(region[2])
        return part_of(features, region)

    monkeypatch.setattr(UnfoldedRows, "part", record)
    monkeypatch.setattr(decoding_module, "_BAND_LATENT_PIXELS", 9 * 150)
    assert np.abs(drawing.draw(size).astype(int) - whole).max() <= 1
    assert np.abs(drawing.region(size, (3, 5, 16, 20)).astype(int) - part).max() <= 1
    assert max(read) <= 9 + 2


def test_one_encoding_serves_all_sizes(model: Model) -> None:
    drawing = model.sample(picture(12, 20))
    for size in ((30, 50), (24, 40)):
        assert np.array_equal(drawing.draw(size), model.upscale(picture(12, 20), size=size))


@pytest.mark.parametrize("option", [{"steps": 5}, {"sampler": "ddim"}, {"eta": 0.0}])
def test_options_of_sampling_are_refused(model: Model, option: dict[str, object]) -> None:
    with pytest.raises(UserError, match="samples no latent"):
        model.upscale(picture(12, 20), scale=2, **option)
    with pytest.raises(UserError, match="samples no latent"):
        model.sample_latents(torch.zeros(1, 3, 4, 4), **option)


def test_it_does_not_generate(model: Model) -> None:
    with pytest.raises(UserError, match="made for super_resolution, not for generation"):
        model.generate([(8, 8)])


def test_a_damaged_configuration_is_named(folder: Path, tmp_path: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    config["network"]["depth"] = 3
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match=r"config\.json: network\.depth"):
        load_model(tmp_path, "cpu")
