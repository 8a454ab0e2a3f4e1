"""What pictures are compared with: bicubic resizing of them, for any part at any size."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from arbiscale.imaging.coordinates import Region, Size
from arbiscale.imaging.formats import Format
from arbiscale.imaging.kernels import resize_region
from arbiscale.imaging.picture import Picture, Pixels
from arbiscale.imaging.pixels import to_array, to_tensor
from arbiscale.imaging.reading import as_srgb
from arbiscale.imaging.writing import Layout, encode_bands

BICUBIC = "bicubic"  # where a model is named
_BAND_PIXELS = 1 << 18  # resized at once


class Resized:
    """A picture in 8-bit sRGB, on white, drawn at any size by PIL's bicubic kernel."""

    def __init__(self, picture: Picture) -> None:
        self._image = to_tensor(as_srgb(picture))

    def encode(self, size: Size, region: Region, form: Format, advance: Callable[[int], None]) -> bytes:
        """A part of the picture at (height, width) pixels, as a file.

        Args:
            size: of the whole.
            region: (top, left, height, width) of the part.
            form: of the file.
            advance: told the pixels of each band.
        """
        return encode_bands(form, Layout(region[2:]), self._bands(size, region, advance))

    def _bands(self, size: Size, region: Region, advance: Callable[[int], None]) -> Iterator[Pixels]:
        top, left, height, width = region
        rows = max(1, _BAND_PIXELS // width)
        for start in range(top, top + height, rows):
            band = (start, left, min(rows, top + height - start), width)
            yield to_array(resize_region(self._image, size, band))
            advance(band[2] * width)
