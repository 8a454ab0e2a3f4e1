"""The published configurations: networks of the published sizes, and a source for every number."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import nn

from arbiscale.config.diffusion import DenoiserSettings
from arbiscale.config.params import Params
from arbiscale.config.preset import find_preset, list_presets, preview_preset
from arbiscale.config.section import flatten
from arbiscale.models.local_implicit import LocalImplicit
from arbiscale.networks.autoencoder import Autoencoder
from arbiscale.networks.denoiser import Denoiser

ROOT = Path(__file__).parents[2]
SOURCES = ("[P]", "[C]", "[L]", "[N]", "[T]", "ours")

# Counted by running the published code: encoder, decoder (without the 1x1 convolutions at the latent), head,
# and U-Net where one is published.
COUNTED = {
    "faces": (22_618_560, 30_140_800, 232_195, 411_075_104),
    "div2k": (22_337_411, 30_007_168, 232_195, 113_622_563),
    "lsun-tower": (34_421_696, 44_305_792, 232_195),
    "ffhq-generation": (22_337_411, 30_007_168, 232_195),
}


def load(name: str) -> Params:
    return preview_preset(ROOT / "params.yaml", find_preset(name))


def parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def denoiser_size(settings: DenoiserSettings, params: Params) -> int:
    channels = params.autoencoder.network.latent_channels
    condition = channels if params.diffusion.task == "super_resolution" else 0
    with torch.device("meta"):
        return parameters(Denoiser(settings, channels, condition))


def sizes(params: Params) -> tuple[int, int, int, int]:
    """Parameters of encoder, decoder, head and U-Net, counted as in COUNTED."""
    with torch.device("meta"):
        autoencoder = Autoencoder(params.autoencoder.network)
    features = autoencoder.decoder.feature_decoder
    return (
        parameters(autoencoder.encoder.network),
        parameters(features) - parameters(features.from_latent),
        parameters(autoencoder.decoder.head),
        denoiser_size(params.diffusion.denoiser, params),
    )


@pytest.mark.parametrize("name", [*COUNTED, "linf-edsr", "linf-rrdb"])
def test_trainings_use_what_an_accelerator_has(name: str) -> None:
    values = flatten(load(name).model_dump(by_alias=True))
    assert {value for key, value in values.items() if key.endswith(".precision")} == {"auto"}


@pytest.mark.parametrize("name", COUNTED)
def test_networks_are_as_large_as_the_published_ones(name: str) -> None:
    assert sizes(load(name))[: len(COUNTED[name])] == COUNTED[name]


@pytest.mark.parametrize(("name", "encoder"), [("linf-edsr", 1_220_416), ("linf-rrdb", 16_585_472)])
def test_linfs_encoders_are_as_large_as_the_published_ones(name: str, encoder: int) -> None:
    """EDSR-baseline without its tail; RRDB of 23 blocks without its upsampling."""
    network = load(name).baselines.linf.network
    with torch.device("meta"):
        model = LocalImplicit(network)
    assert parameters(model.encoder) == encoder


@pytest.mark.parametrize("name", sorted(list_presets()))
def test_every_preset_builds_its_networks(name: str) -> None:
    assert min(sizes(load(name))) > 0


def test_df2k_as_shipped_has_attention_in_the_middle_only() -> None:
    params = load("df2k")
    as_shipped = params.diffusion.denoiser.model_copy(update={"attention_factors": []})
    assert denoiser_size(as_shipped, params) == 105_411_363


def test_a_preset_states_its_networks_sizes(published: Path) -> None:
    params = load(published.stem)
    if params.baselines.train:
        with torch.device("meta"):
            size = parameters(LocalImplicit(params.baselines.linf.network))
        assert f"# parameters: LINF {size:,}\n" in published.read_text()
        return
    encoder, decoder, head, denoiser = sizes(params)
    stated = f"# parameters: encoder {encoder:,} · decoder {decoder:,} · head {head:,} · U-Net {denoiser:,}\n"
    assert stated in published.read_text()


def numbers(text: str) -> Iterator[tuple[str, str]]:
    """Every line that sets a value, with its comment and those of the sections around it."""
    comments: dict[int, str] = {}
    for line in text.splitlines():
        found = re.match(r"( *)\w+:( [^#]*)?(#.*)?$", line)
        if not found:
            continue
        indent = len(found[1])
        comments = {depth: comment for depth, comment in comments.items() if depth < indent}
        comments[indent] = found[3] or ""
        if (found[2] or "").strip():
            yield line.strip(), " ".join(comments.values())


def unsourced(text: str) -> list[str]:
    found = [line for line, comment in numbers(text) if not any(source in comment for source in SOURCES)]
    return [line for line in found if not line.startswith(("path:", "source:", "extends:"))]


def test_every_number_names_its_source(published: Path) -> None:
    text = published.read_text()
    assert unsourced(text) == []


def test_a_number_without_a_source_is_found() -> None:
    assert unsourced("a:  # [C]\n  b: 1\n  c:\n    d: 2\ne: 3  # ours: a guess\n") == []
    assert unsourced("a:\n  b: 1  # [C]\n  c: 2\nd: 3  # because\n") == ["c: 2", "d: 3  # because"]
