"""What drew a picture, as it stands in the picture's file; enough to draw it again."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path
from typing import cast

import torch

from arbiscale import __version__
from arbiscale.config.sampling import Sampler
from arbiscale.imaging.coordinates import Size
from arbiscale.imaging.formats import Encoding
from arbiscale.imaging.picture import Picture
from arbiscale.imaging.provenance import Input, Record
from arbiscale.inference.drawing import Drawing
from arbiscale.inference.model import Model
from arbiscale.inference.options import Dials, SamplerOptions
from arbiscale.inference.origin import IDENTITY
from arbiscale.inference.writing import write_drawing


def describe(
    model: Model,
    source: Input | Size,
    size: Size,
    encoding: Encoding,
    options: SamplerOptions,
    *,
    seed: int = 0,
    temperature: float | None = None,
    fidelity: float | None = None,
    tile: str | int = "none",
    self_ensemble: bool = False,
    consistent: bool = False,
    identity: Record | None = None,
) -> dict[str, str]:
    """What draws a picture: the model, what it is drawn of, and every setting that decides its pixels.

    Args:
        model: as loaded.
        source: the picture that is upscaled, or the (height, width) of a generated latent.
        size: (height, width) of the output in pixels.
        encoding: of the file.
        options: of sampling; None = the model's own.
        seed: of the noise, and of texture.
        temperature: of texture; None = the model's own.
        fidelity: None = the model's own.
        tile: as asked for; recorded is what came of it.
        self_ensemble: see `Model.upscale`.
        consistent: see `Model.upscale`.
        identity: what names the model; None = its origin.

    Returns:
        Values by name. The model's own settings stand there by value; what has no effect is left out.
    """
    if identity is None:
        identity = model.origin.record if model.origin else {}
    record = {"software": f"arbiscale {__version__}", **identity}
    record["size"] = shown_size(size)
    share = model.share_of_branch(fidelity)
    if isinstance(source, Input):
        scales = (f"{one / other:.6g}" for one, other in zip(size, source.size, strict=True))
        record |= {
            "input": source.name,
            "input_sha256": source.sha256,
            "scale": "x".join(dict.fromkeys(scales)),
            "tile": str(model.tile_px(source.size, tile)),
        }
        chosen = {"self_ensemble": self_ensemble, "consistent": consistent}
        record |= {name: "True" for name, wanted in chosen.items() if wanted}
    else:
        record["latent"] = shown_size(source)
    if model.sampling and model.timesteps and share < 1:
        settings = model.sampling.but(**options)
        record |= {"steps": str(settings.steps), "sampler": settings.sampler, "eta": f"{settings.eta:g}"}
    record["seed"] = str(seed)
    if model.has_texture:
        record["temperature"] = repr(model.texture(temperature, seed).temperature)
    if model.has_branch:
        record["fidelity"] = repr(share)
    record |= {"precision": model.precision, "device": model.device.type, "torch": metadata.version("torch")}
    record |= {"threads": str(torch.get_num_threads())} if model.device.type == "cpu" else {}
    kept = {"quality": encoding.quality, "lossless": encoding.lossless, "dpi": encoding.dpi}
    usual = vars(Encoding())
    return record | {name: str(value) for name, value in kept.items() if value != usual[name]}


def redraw(model: Model, record: Record, original: Picture | None, path: Path) -> None:
    """Draw what a record describes into a file, with a record of what draws it now.

    Args:
        model: the one that the record names.
        record: of `describe`.
        original: the picture that was upscaled; None for a generated one.
        path: the file, of the format that the first one had.

    Raises:
        KeyError: a value is missing.
        ValueError: a value is none.
        UserError: as `Drawing.bands` and `write_picture`.
    """
    size, seed = _size(record["size"]), int(record["seed"])
    options: SamplerOptions = {}
    if "steps" in record:
        sampler = cast(Sampler, record["sampler"])  # checked where it is used
        options = {"steps": int(record["steps"]), "sampler": sampler, "eta": float(record["eta"])}
    known = {name: float(record[name]) for name in ("temperature", "fidelity") if name in record}
    dials: Dials = {"temperature": known.get("temperature"), "fidelity": known.get("fidelity")}
    encoding = Encoding(
        int(record.get("quality", Encoding.quality)),
        record.get("lossless") == "True",
        float(record["dpi"]) if "dpi" in record else None,
    )
    tile: str | int = "none"
    self_ensemble, consistent = (record.get(name) == "True" for name in ("self_ensemble", "consistent"))
    source: Input | Size
    if original is None:
        source = latent_size = _size(record["latent"])
        drawing = Drawing(
            model, model.generate_latents(1, latent_size, seed=seed, **options), None, seed=seed
        )
    else:
        tile = "none" if record["tile"] == "none" else int(record["tile"])
        source = Input(record["input"], record["input_sha256"], original.size)
        latent = model.share_of_branch(dials["fidelity"]) < 1
        drawing = model.sample(
            original,
            tile=tile,
            latent=latent,
            seed=seed,
            self_ensemble=self_ensemble,
            consistent=consistent,
            **options,
        )
    identity = {name: record[name] for name in IDENTITY if name in record}  # the same, however it was found
    own = describe(
        model,
        source,
        size,
        encoding,
        options,
        seed=seed,
        tile=tile,
        self_ensemble=self_ensemble,
        consistent=consistent,
        identity=identity,
        **dials,
    )
    write_drawing(drawing, size, path, encoding=encoding, provenance=own, **dials)


def _size(text: str) -> Size:
    height, width = text.split("x")
    return int(height), int(width)


def shown_size(size: Size) -> str:
    """`HEIGHTxWIDTH`."""
    return f"{size[0]}x{size[1]}"
