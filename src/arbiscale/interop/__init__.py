"""Weights trained elsewhere: published networks loaded into this project's own, and written back."""

from arbiscale.interop.exporting import export_checkpoint
from arbiscale.interop.importing import Imported, import_checkpoint
from arbiscale.interop.liif import import_liif, load_liif
from arbiscale.interop.networks import load_denoiser, load_first_stage

__all__ = [
    "Imported",
    "export_checkpoint",
    "import_checkpoint",
    "import_liif",
    "load_denoiser",
    "load_first_stage",
    "load_liif",
]
