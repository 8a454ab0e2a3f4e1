"""The façade of every model: upscale a picture, or generate one, at any size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
from PIL import Image
from torch import Tensor

from arbiscale.config.sampling import Sampler
from arbiscale.errors import UserError
from arbiscale.imaging.coordinates import Size
from arbiscale.imaging.orientations import ORIENTATIONS
from arbiscale.imaging.pixels import to_array
from arbiscale.imaging.transparency import fill_hidden
from arbiscale.inference.arguments import checked_count, checked_size, like, target_size, to_picture
from arbiscale.inference.drawing import Drawing
from arbiscale.inference.drawing_model import DrawingModel
from arbiscale.inference.options import SamplingOptions
from arbiscale.inference.self_ensemble import mean_drawing, turned

ImageLike = TypeVar("ImageLike", Image.Image, np.ndarray, Tensor)


class Model(DrawingModel):
    """A trained model, ready to draw; `arbiscale.load_model` makes one of a folder."""

    def upscale(
        self,
        image: ImageLike,
        *,
        scale: float | tuple[float, float] | None = None,
        size: Size | None = None,
        steps: int | None = None,
        sampler: Sampler | None = None,
        seed: int = 0,
        eta: float | None = None,
        temperature: float | None = None,
        fidelity: float | None = None,
        tile: str | int = "auto",
        self_ensemble: bool = False,
        consistent: bool = False,
    ) -> ImageLike:
        """Upscale a picture.

        Args:
            image: a PIL image; uint8 or uint16 (height, width) or (height, width, channels); or a tensor
                (channels, height, width) or (1, channels, height, width), in [-1, 1] or uint8. Channels
                are grey or RGB, with or without alpha: 1 to 4.
            scale: output / input, one factor or (vertical, horizontal).
            size: (height, width) of the output in pixels, instead of a scale.
            steps: sampling steps; None = the model's own.
            sampler: ddim, ddpm, dpm_solver, unipc or euler; None = the model's own.
            seed: of the sampling noise, and of texture.
            eta: noise that ddim adds; None = the model's own.
            temperature: of texture, where a flow draws it; None = the model's own.
            fidelity: of a model with a branch: 1 = only what the picture says for sure, 0 = all that the
                model adds; between, a blend of both drawings. None = the model's own.
            tile: `auto`, `none`, or the side of a tile in pixels of the image; see `Drawing`.
            self_ensemble: draw the mean of the picture's 8 orientations, which takes 8 times the time.
            consistent: draw what is, shrunk again, the picture, to about a level of 8 bits: some 0.05 dB
                nearer to the truth too. Beyond 4 megapixels the picture is drawn twice. Where an axis shrinks
                it does nothing.

        Returns:
            The picture at its new size, of the type given; a PIL image keeps alpha, profile and EXIF.

        Raises:
            UserError: a model without super-resolution; neither or both of scale and size; a size below
                1 px; an image of another type, shape or range; a temperature where no flow draws, or a
                fidelity where there is no branch.
        """
        picture = to_picture(image)
        target = target_size(picture.size, scale, size)
        self.texture(temperature, seed)  # refused before the work
        latent = self.share_of_branch(fidelity) < 1
        drawing = self.sample(
            picture,
            steps=steps,
            sampler=sampler,
            seed=seed,
            eta=eta,
            tile=tile,
            latent=latent,
            self_ensemble=self_ensemble,
            consistent=consistent,
        )
        drawn = drawing.draw(target, temperature=temperature, fidelity=fidelity)
        return like(image, drawn, picture.metadata)

    def sample(
        self,
        image: Any,
        *,
        steps: int | None = None,
        sampler: Sampler | None = None,
        seed: int = 0,
        eta: float | None = None,
        tile: str | int = "auto",
        latent: bool = True,
        self_ensemble: bool = False,
        consistent: bool = False,
    ) -> Drawing:
        """Make a picture's latent once, to draw it at several sizes: `sample(image).draw((1080, 1920))`.

        Arguments and errors are those of `upscale`; tensors are drawn as 16-bit arrays. Without a latent,
        which takes no sampling, a branch draws at fidelity 1 only.
        """
        options: SamplingOptions = {"steps": steps, "sampler": sampler, "seed": seed, "eta": eta}
        picture = fill_hidden(to_picture(image))
        if self_ensemble:
            tile = self.tile_px(picture.size, tile)  # the same for all
            members = (self._sample(turned(picture, each), tile, latent, **options) for each in ORIENTATIONS)
            drawing = mean_drawing(self, picture, members)
        else:
            drawing = self._sample(picture, tile, latent, **options)
        if consistent:
            drawing.back_project()
        return drawing

    def generate(
        self,
        sizes: Sequence[Size],
        *,
        count: int = 1,
        steps: int | None = None,
        sampler: Sampler | None = None,
        seed: int = 0,
        eta: float | None = None,
        temperature: float | None = None,
        latent_size: Size | None = None,
    ) -> list[list[np.ndarray]]:
        """Generate pictures; each latent is drawn at every size.

        A model that was trained on several shapes draws a latent for each shape that sizes are nearest to.

        Args:
            sizes: (height, width) of the outputs, in pixels.
            count: how many latents.
            steps: sampling steps; None = the model's own.
            sampler: ddim, ddpm, dpm_solver, unipc or euler; None = the model's own.
            seed: of the noise; picture i of seed s is that of seed s + i.
            eta: noise that ddim adds; None = the model's own.
            temperature: of texture, where a flow draws it; None = the model's own.
            latent_size: (height, width) of all latents; None = as trained, in the first size's proportions.

        Returns:
            For each latent, for each size, a picture uint8 (height, width, 3).

        Raises:
            UserError: a model that does not generate; no sizes, or one that is none; no count.
        """
        sizes = [checked_size(size) for size in sizes]
        if not sizes:
            raise UserError("sizes: name at least one (height, width)")
        self.texture(temperature, seed)  # refused before the work
        groups = [sizes] if latent_size else self.sharing_latents(sizes)
        pictures = []
        for own in range(seed, seed + checked_count(count)):
            drawn = {}
            for group in groups:
                wanted = latent_size or self.latent_size_for(group[0])
                latent = self.generate_latents(1, wanted, steps=steps, sampler=sampler, seed=own, eta=eta)
                for size in group:
                    drawn[size] = to_array(self.decode(latent, size, temperature=temperature, seed=own))
            pictures.append([drawn[size] for size in sizes])
        return pictures
