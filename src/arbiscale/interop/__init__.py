"""Weights trained elsewhere: published networks loaded into this project's own, and written back."""

from arbiscale.interop.exporting import export_checkpoint
from arbiscale.interop.importing import Imported, import_checkpoint, load_denoiser, load_first_stage
from arbiscale.interop.liif import import_liif, load_liif

__all__ = [
    "Imported",
    "export_checkpoint",
    "import_checkpoint",
    "import_liif",
    "load_denoiser",
    "load_first_stage",
    "load_liif",
]
