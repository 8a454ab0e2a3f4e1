"""The model façade: upscale a picture, or generate one, at any size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from arbiscale.checkpoint import CONFIG, load_autoencoder
from arbiscale.config.liif import LIIF_FORMAT
from arbiscale.config.sampling import Sampler, SamplingSettings
from arbiscale.config.section import read_yaml, validate
from arbiscale.coordinates import Region, Size
from arbiscale.device import choose_device
from arbiscale.diffusion_checkpoint import DiffusionConfig, ModelConfig, load_latent_diffusion, read_config
from arbiscale.errors import UserError
from arbiscale.latent_diffusion import LatentDiffusion
from arbiscale.low_resolution import base_image
from arbiscale.networks.autoencoder import Autoencoder
from arbiscale.pixels import to_array

if TYPE_CHECKING:
    from arbiscale.inference.drawing import Drawing
    from arbiscale.inference.features import FeatureRows
    from arbiscale.inference.tiles import Tiling
    from arbiscale.networks.implicit_head import ImplicitHead

_DEFAULT_SAMPLING = SamplingSettings(steps=50, spacing="trailing", eta=0.0)

Precision = Literal["float32", "bfloat16", "float16"]
Picture = TypeVar("Picture", Image.Image, np.ndarray, Tensor)


def load_model(
    where: str | Path,
    device: str = "auto",
    *,
    precision: Precision = "float32",
    compiled: bool = False,
    sampling: SamplingSettings | None = None,
) -> Model:
    """Load a model from a folder (a stage's output, a packed or an imported model) or from the registry.

    Args:
        where: the folder, or `models:/NAME@ALIAS` or `models:/NAME/VERSION`.
        device: auto, cpu, cuda, cuda:N or mps.
        precision: of matrix products and convolutions; sums and norms stay in float32.
        compiled: compile the networks on first use, for many pictures of one size.
        sampling: how to draw, instead of the model's own; a LIIF has none.

    Raises:
        UserError: no model there, a damaged one, a device or compiler that this machine does not have, or
            an unknown precision.
    """
    if str(where).startswith("models:/"):
        from arbiscale.tracking import resolve

        where = resolve(str(where))
    kind = _kind(Path(where))
    model = kind(Path(where), choose_device(device), sampling, precision)
    if compiled:
        from arbiscale.inference.compilation import compile_networks

        compile_networks(model.networks(), model.device)
    return model


def _kind(folder: Path) -> type[Model]:
    """What runs the model of a folder, by what its config.json says."""
    if folder.is_file():
        raise UserError(
            f"{folder}: is a file, not a model folder; published weights become one by "
            f"`arbiscale import-checkpoint {folder} --to DIR`"
        )
    path = folder / CONFIG
    if path.is_file() and read_yaml(path).get("format") == LIIF_FORMAT:
        from arbiscale.liif_model import LIIFModel

        return LIIFModel
    return Model


class Model:
    """A trained model, ready to draw.

    Attributes:
        config: what the folder says of itself.
        device: where it runs.
        sampling: how latents are drawn.
        precision: of matrix products and convolutions.
    """

    def __init__(
        self,
        folder: Path,
        device: torch.device,
        sampling: SamplingSettings | None = None,
        precision: Precision = "float32",
    ) -> None:
        if precision not in get_args(Precision):
            raise UserError(f"precision {precision!r}: must be one of {', '.join(get_args(Precision))}")
        self.device = device
        self.precision = precision
        self._load(folder, sampling)
        if device.type != "mps":  # as its convolutions read
            for network in self.networks():
                network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def _load(self, folder: Path, sampling: SamplingSettings | None) -> None:
        self.config: ModelConfig = read_config(folder)
        self.sampling = sampling or self.config.sampling or _DEFAULT_SAMPLING
        self.diffusion = None
        self.autoencoder: Autoencoder
        if self.config.diffusion is None:
            self.autoencoder = load_autoencoder(folder, self.config.autoencoder).to(self.device)
        else:
            self.diffusion = load_latent_diffusion(folder).to(self.device)
            self.autoencoder = self.diffusion.space.autoencoder
        self.autoencoder.requires_grad_(False)

    def networks(self) -> list[torch.nn.Module]:
        """The convolutional networks: encoder, feature decoder and, where there is one, denoiser."""
        found = [self.autoencoder.encoder, self.autoencoder.decoder.feature_decoder]
        return [*found, self.diffusion.denoiser] if self.diffusion else found

    @contextmanager
    def computing(self) -> Iterator[None]:
        """Without gradients, in the precision asked for."""
        dtype = getattr(torch, self.precision)
        with torch.no_grad(), torch.autocast(self.device.type, dtype, enabled=dtype != torch.float32):
            yield

    @property
    def task(self) -> str:
        """`super_resolution`, `generation`, or `reconstruction` (an autoencoder alone)."""
        return self.config.diffusion.task if self.config.diffusion else "reconstruction"

    @property
    def factor(self) -> int:
        """The fixed training factor: high-resolution crop / low-resolution crop."""
        return self.config.factor

    @property
    def downsampling(self) -> int:
        """Image pixels per latent pixel, along one axis."""
        return self.autoencoder.downsampling

    @property
    def residual(self) -> bool:
        """Whether what is drawn is the difference to the bicubic low-resolution image."""
        return self.config.autoencoder.residual

    @property
    def head(self) -> ImplicitHead:
        """What draws colours from features."""
        return self.autoencoder.decoder.head

    def feature_rows(self, latent: Tensor, tiling: Tiling | None) -> FeatureRows:
        """What the head reads of one latent, row by row; in tiles where the latent was made in tiles."""
        from arbiscale.inference.features import make_features

        with self.computing():
            return make_features(latent, self.autoencoder.features, tiling)

    def upscale(
        self,
        image: Picture,
        *,
        scale: float | tuple[float, float] | None = None,
        size: Size | None = None,
        steps: int | None = None,
        sampler: Sampler | None = None,
        seed: int = 0,
        eta: float | None = None,
        tile: str | int = "auto",
    ) -> Picture:
        """Upscale a picture.

        Args:
            image: a PIL image; uint8 or uint16 (height, width, 3); or a tensor (3, height, width) or
                (1, 3, height, width) in [-1, 1].
            scale: output / input, one factor or (vertical, horizontal).
            size: (height, width) of the output in pixels, instead of a scale.
            steps: sampling steps; None = the model's own.
            sampler: ddim, ddpm, dpm_solver, unipc or euler; None = the model's own.
            seed: of the sampling noise.
            eta: noise that ddim adds; None = the model's own.
            tile: `auto`, `none`, or the side of a tile in pixels of the image; see `Drawing`.

        Returns:
            The picture at its new size, of the type given; a PIL image keeps alpha, profile and EXIF.

        Raises:
            UserError: a model without super-resolution; neither or both of scale and size; a size below
                1 px; an image of another type, shape or range.
        """
        from arbiscale.inference.conversion import like, to_picture

        picture = to_picture(image)
        target = target_size(picture.size, scale, size)
        drawing = self.sample(picture, steps=steps, sampler=sampler, seed=seed, eta=eta, tile=tile)
        return like(image, drawing.draw(target), picture.metadata)

    def sample(
        self,
        image: Any,
        *,
        steps: int | None = None,
        sampler: Sampler | None = None,
        seed: int = 0,
        eta: float | None = None,
        tile: str | int = "auto",
    ) -> Drawing:
        """Run diffusion once, to draw the result at several sizes: `sample(image).draw((1080, 1920))`.

        Arguments and errors are those of `upscale`; tensors are drawn as 16-bit arrays.
        """
        from arbiscale.inference.conversion import to_picture
        from arbiscale.inference.drawing import sample_drawing

        return sample_drawing(
            self, to_picture(image), steps=steps, sampler=sampler, seed=seed, eta=eta, tile=tile
        )

    def generate(
        self,
        sizes: Sequence[Size],
        *,
        count: int = 1,
        steps: int | None = None,
        sampler: Sampler | None = None,
        seed: int = 0,
        eta: float | None = None,
        latent_size: Size | None = None,
    ) -> list[list[np.ndarray]]:
        """Generate pictures; each latent is drawn at every size.

        Args:
            sizes: (height, width) of the outputs, in pixels.
            count: how many latents.
            steps: sampling steps; None = the model's own.
            sampler: ddim, ddpm, dpm_solver, unipc or euler; None = the model's own.
            seed: of the noise; picture i of a seed is the same whatever the count.
            eta: noise that ddim adds; None = the model's own.
            latent_size: (height, width) of the latents; None = as trained, in the first size's proportions.

        Returns:
            For each latent, for each size, a picture uint8 (height, width, 3).

        Raises:
            UserError: a model that does not generate.
        """
        latent_size = latent_size or self.latent_size_for(sizes[0])
        pictures = []
        for index in range(count):
            latent = self.generate_latents(
                1, latent_size, steps=steps, sampler=sampler, seed=seed + index, eta=eta
            )
            pictures.append([to_array(self.decode(latent, size)) for size in sizes])
        return pictures

    def latent_size_for(self, size: Size) -> Size:
        """A latent size of about the training's area in the proportions of an image size."""
        diffusion = self.diffusion_for("generation")[1]
        multiple = diffusion.denoiser.downsampling
        side = diffusion.training_latent_px
        stretch = (size[0] / size[1]) ** 0.5
        height, width = (max(1, round(side * s / multiple)) * multiple for s in (stretch, 1 / stretch))
        return (height, width)

    def encode(self, image: Tensor) -> Tensor:
        """Latents (the posterior's mode) of images (batch, 3, height, width) in [-1, 1]."""
        with self.computing():
            return self.autoencoder.encode(image.to(self.device)).mode().float()

    def decode(
        self, latent: Tensor, size: Size, *, region: Region | None = None, base: Tensor | None = None
    ) -> Tensor:
        """Images (batch, 3, *size), not clamped, drawn from latents; see `ImplicitDecoder.forward`."""
        with self.computing():
            return self.autoencoder.decode(latent.to(self.device), size, region=region, base=base).float()

    def base(self, low_resolution: Tensor, size: Size) -> Tensor | None:
        """What a residual decoder draws on; None for other decoders."""
        if not self.residual:
            return None
        return base_image(low_resolution.to(self.device), size)

    def sample_latents(
        self,
        low_resolution: Tensor,
        *,
        steps: int | None = None,
        sampler: Sampler | None = None,
        seed: int = 0,
        eta: float | None = None,
    ) -> Tensor:
        """Latents of super-resolved images, for any output size.

        Args:
            low_resolution: images (batch, 3, height, width) in [-1, 1] of any size.
            steps: sampling steps; None = the model's own.
            sampler: ddim, ddpm, dpm_solver, unipc or euler; None = the model's own.
            seed: of the noise.
            eta: noise that ddim adds; None = the model's own.

        Returns:
            Latents (batch, channels, height * factor / f, width * factor / f), f the downsampling.
        """
        diffusion, config = self.diffusion_for("super_resolution")
        height, width = low_resolution.shape[-2:]
        per_pixel = self.factor // self.downsampling
        padded = pad_to_multiple(low_resolution.to(self.device), config.denoiser.downsampling)
        generator = torch.Generator().manual_seed(seed)
        with self.computing():
            condition = diffusion.condition(padded)
            assert condition is not None
            noise = torch.randn(condition.shape, generator=generator).to(self.device)
            latent = diffusion.sample(
                noise, condition, self.settings(steps, sampler, eta), generator=generator
            )
            return diffusion.space.restore(latent)[..., : height * per_pixel, : width * per_pixel]

    def generate_latents(
        self,
        count: int,
        latent_size: Size,
        *,
        steps: int | None = None,
        sampler: Sampler | None = None,
        seed: int = 0,
        eta: float | None = None,
    ) -> Tensor:
        """Latents (count, channels, *latent_size) of generated images.

        Sizes are rounded up to what the U-Net takes.
        """
        diffusion, config = self.diffusion_for("generation")
        multiple = config.denoiser.downsampling
        height, width = (-(-side // multiple) * multiple for side in latent_size)
        generator = torch.Generator().manual_seed(seed)
        shape = (count, diffusion.space.channels, height, width)
        noise = torch.randn(shape, generator=generator).to(self.device)
        with self.computing():
            latent = diffusion.sample(noise, None, self.settings(steps, sampler, eta), generator=generator)
            return diffusion.space.restore(latent)

    def diffusion_for(self, task: str) -> tuple[LatentDiffusion, DiffusionConfig]:
        """The diffusion model and its configuration; raises UserError where it was made for another task."""
        if self.diffusion is None or self.config.diffusion is None or self.task != task:
            raise UserError(f"this model was made for {self.task}, not for {task}; give another --model")
        return self.diffusion, self.config.diffusion

    def settings(
        self, steps: int | None = None, sampler: Sampler | None = None, eta: float | None = None
    ) -> SamplingSettings:
        """How to draw: the model's own way but for what is given."""
        values = self.sampling.but(sampler=sampler, steps=steps).model_dump()
        if eta is not None:
            values["eta"] = eta
        return validate(SamplingSettings, values, Path("sampling"))


def target_size(size: Size, scale: float | tuple[float, float] | None, wanted: Size | None) -> Size:
    """The output size of an input of (height, width) pixels from a scale or a wanted size.

    Raises:
        UserError: neither or both given, or an output below 1 px.
    """
    if scale is not None and wanted is None:
        vertical, horizontal = scale if isinstance(scale, tuple) else (scale, scale)
        wanted = (round(size[0] * vertical), round(size[1] * horizontal))
    elif scale is not None or wanted is None:
        raise UserError("give either a scale or a size")
    if min(wanted) < 1:
        raise UserError(f"the output would be {wanted[0]}x{wanted[1]} px; ask for at least 1x1")
    return wanted


def pad_to_multiple(image: Tensor, multiple: int) -> Tensor:
    """Repeat the last row and column until both sides are multiples."""
    height, width = image.shape[-2:]
    return functional.pad(image, (0, -width % multiple, 0, -height % multiple), mode="replicate")
