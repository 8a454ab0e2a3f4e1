import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.testing import assert_close

from arbiscale.config.autoencoder import AutoencoderNetworkSettings
from arbiscale.config.params import load_params
from arbiscale.errors import UserError
from arbiscale.models.folder import (
    AUTOENCODER,
    CONFIG,
    DENOISER,
    DiffusionConfig,
    FirstStageConfig,
    ModelConfig,
    halve,
    load_autoencoder,
    load_latent_diffusion,
    read_config,
    read_tensors,
    save_autoencoder,
    save_latent_diffusion,
    save_tensors,
)
from arbiscale.models.latent_diffusion import LatentDiffusion
from arbiscale.models.latent_space import LatentStatistics
from arbiscale.networks.autoencoder import Autoencoder
from tests.full_disk import full_disk


@pytest.fixture
def config(network_settings: Callable[..., AutoencoderNetworkSettings]) -> FirstStageConfig:
    return FirstStageConfig(factor=4, autoencoder=network_settings())


@pytest.fixture
def folder(tmp_path: Path, config: FirstStageConfig) -> Path:
    """A model folder with an autoencoder of random weights."""
    torch.manual_seed(0)
    save_autoencoder(tmp_path / "model", config, Autoencoder(config.autoencoder))
    return tmp_path / "model"


def change(path: Path, edit: Callable[[dict[str, Tensor]], object]) -> None:
    tensors = load_file(path)
    edit(tensors)
    save_file(tensors, path)


def test_weights_return_to_the_bit(folder: Path, config: FirstStageConfig) -> None:
    torch.manual_seed(0)
    expected = Autoencoder(config.autoencoder).state_dict()
    assert read_config(folder) == ModelConfig(**config.model_dump())
    loaded = load_autoencoder(folder, config.autoencoder)
    assert not loaded.training
    assert loaded.state_dict().keys() == expected.keys()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in loaded.state_dict().items())


def test_equal_weights_give_equal_bytes(tmp_path: Path, folder: Path, config: FirstStageConfig) -> None:
    save_autoencoder(tmp_path / "again", config, load_autoencoder(folder, config.autoencoder))
    names = sorted(path.name for path in folder.iterdir())
    assert names == [AUTOENCODER, CONFIG]
    for name in names:
        assert (folder / name).read_bytes() == (tmp_path / "again" / name).read_bytes()


def test_weights_that_are_views_are_saved(tmp_path: Path) -> None:
    network = torch.nn.Linear(3, 2)
    network.weight = torch.nn.Parameter(torch.arange(6.0).reshape(3, 2).t())
    save_tensors(network, tmp_path / "a.safetensors")
    assert load_file(tmp_path / "a.safetensors")["weight"].tolist() == [[0, 2, 4], [1, 3, 5]]


def test_tensors_that_do_not_fit_are_all_listed(folder: Path, config: FirstStageConfig) -> None:
    def edit(tensors: dict[str, Tensor]) -> None:
        del tensors["encoder.to_moments.bias"]
        tensors["decoder.tail.weight"] = torch.zeros(1)
        tensors["decoder.head.output.bias"] = torch.zeros(5)

    change(folder / AUTOENCODER, edit)
    with pytest.raises(UserError) as caught:
        load_autoencoder(folder, config.autoencoder)
    assert str(caught.value) == (
        f"{folder / AUTOENCODER}: does not fit {CONFIG}: missing encoder.to_moments.bias; "
        "unexpected decoder.tail.weight; decoder.head.output.bias is (5,), not (3,)"
    )


def test_a_long_list_is_cut(folder: Path, config: FirstStageConfig) -> None:
    change(folder / AUTOENCODER, dict.clear)
    network = Autoencoder(config.autoencoder)
    count = len(network.state_dict().keys() - network.missing_allowed)
    with pytest.raises(UserError, match=f" and {count - 5} more$") as caught:
        load_autoencoder(folder, config.autoencoder)
    assert str(caught.value).count("missing") == 5


def test_a_first_stage_without_head_says_what_gives_it_one(folder: Path, config: FirstStageConfig) -> None:
    def behead(tensors: dict[str, Tensor]) -> None:
        for name in Autoencoder(config.autoencoder).missing_allowed:
            del tensors[name]

    change(folder / AUTOENCODER, behead)
    with pytest.raises(UserError) as caught:
        load_autoencoder(folder, config.autoencoder)
    assert str(caught.value) == (
        f"{folder}: its first stage has no implicit head and cannot draw; to train one, "
        f"set autoencoder.init_from: {folder} and run `dvc repro`"
    )


def test_a_network_that_does_not_fit_is_left_as_it_was(folder: Path) -> None:
    network = torch.nn.Linear(2, 2)
    before = network.weight.clone()
    with pytest.raises(UserError, match="does not fit"):
        read_tensors(network, folder / AUTOENCODER)
    assert torch.equal(network.weight, before)


@pytest.mark.parametrize("content", [b"", b"\x00" * 5, b"not tensors, and longer than a header"])
def test_a_damaged_file_is_one_line(folder: Path, config: FirstStageConfig, content: bytes) -> None:
    (folder / AUTOENCODER).write_bytes(content)
    with pytest.raises(UserError, match=f"{AUTOENCODER}: is not a readable safetensors file") as caught:
        load_autoencoder(folder, config.autoencoder)
    assert "\n" not in str(caught.value)


def test_a_truncated_file_is_one_line(folder: Path, config: FirstStageConfig) -> None:
    whole = (folder / AUTOENCODER).read_bytes()
    (folder / AUTOENCODER).write_bytes(whole[:-100])
    with pytest.raises(UserError, match="is not a readable safetensors file"):
        load_autoencoder(folder, config.autoencoder)


def test_missing_weights_are_named_with_the_remedy(folder: Path, config: FirstStageConfig) -> None:
    (folder / AUTOENCODER).unlink()
    with pytest.raises(UserError, match=f"{AUTOENCODER}: no such file; restore it with `dvc checkout`"):
        load_autoencoder(folder, config.autoencoder)


@pytest.mark.parametrize("make", [Path.mkdir, Path.touch, lambda path: None], ids=["empty", "file", "none"])
def test_no_model_folder_is_one_line(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "model")
    with pytest.raises(UserError) as caught:
        read_config(tmp_path / "model")
    assert str(caught.value) == (
        f"{tmp_path / 'model'}: is not a model folder (no config.json); train one with `dvc repro`"
    )


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"factor": 4', '"factor": 0', "factor: must be an integer, at least 1"),
        ('"factor": 4', '"fctor": 4', "fctor: unknown key; did you mean factor?"),
        ("arbiscale-1", "arbiscale-2", "format: must be 'arbiscale-1' (got 'arbiscale-2')"),
        ('"factor": 4', '"factor" 4', "is not valid YAML"),
    ],
)
def test_a_wrong_configuration_is_one_line(folder: Path, old: str, new: str, said: str) -> None:
    text = (folder / CONFIG).read_text()
    assert old in text
    (folder / CONFIG).write_text(text.replace(old, new))
    with pytest.raises(UserError) as caught:
        read_config(folder)
    assert str(folder / CONFIG) in str(caught.value)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_halved_model_has_half_the_bytes_and_nearly_the_same_weights(
    model_config: Callable[..., ModelConfig],
    make_model: Callable[[ModelConfig], LatentDiffusion],
    tmp_path: Path,
) -> None:
    config = model_config()
    save_latent_diffusion(tmp_path / "whole", config, make_model(config))
    halve(tmp_path / "whole", tmp_path / "half")
    assert read_config(tmp_path / "half") == config
    for name in (AUTOENCODER, DENOISER):
        sizes = [(tmp_path / folder / name).stat().st_size for folder in ("whole", "half")]
        assert 1.5 < sizes[0] / sizes[1] < 2
    whole, half = (load_latent_diffusion(tmp_path / folder) for folder in ("whole", "half"))
    for (name, weight), other in zip(whole.named_parameters(), half.parameters(), strict=True):
        assert other.dtype == torch.float32
        assert_close(other, weight, atol=1e-4, rtol=1e-3, msg=name)


def test_weights_beyond_float16_are_not_halved(
    model_config: Callable[..., ModelConfig],
    make_model: Callable[[ModelConfig], LatentDiffusion],
    tmp_path: Path,
) -> None:
    config = model_config()
    model = make_model(config)
    with torch.no_grad():
        next(model.denoiser.parameters()).fill_(1e6)
    save_latent_diffusion(tmp_path / "whole", config, model)
    with pytest.raises(UserError, match=r"denoiser\.safetensors: holds weights beyond float16's range"):
        halve(tmp_path / "whole", tmp_path / "half")
    assert not (tmp_path / "half").exists()
    with pytest.raises(UserError, match="nowhere: is not a model folder"):
        halve(tmp_path / "nowhere", tmp_path / "half")


@pytest.mark.skipif(sys.platform != "linux", reason="the limit of a file's size stands for a full disk")
def test_a_full_disk_is_one_line_and_leaves_the_former_model(folder: Path, config: FirstStageConfig) -> None:
    before = (folder / AUTOENCODER).read_bytes()
    with full_disk(), pytest.raises(UserError, match=f"{folder}: cannot be written") as caught:
        save_autoencoder(folder, config, Autoencoder(config.autoencoder))
    assert "\n" not in str(caught.value)
    assert (folder / AUTOENCODER).read_bytes() == before


@pytest.mark.parametrize(
    ("sizes", "shapes"),
    [([], []), ([(8, 8)], []), ([(6, 10), (10, 6)], ["6x10", "10x6"]), ([(6, 10)], ["6x10"])],
)
def test_shapes_of_latents_stand_where_they_are_no_squares(
    sizes: list[tuple[int, int]], shapes: list[str]
) -> None:
    settings = load_params(Path(__file__).parents[2] / "params.yaml").diffusion
    config = DiffusionConfig.of(settings, LatentStatistics([0.0], [1.0]), 8, sizes)
    assert config.training_latent_shapes == shapes
    assert config.latent_sizes == (sizes or [(8, 8)])
