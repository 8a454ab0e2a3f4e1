"""Weights trained elsewhere: published networks loaded into this project's own, and written back."""

from arbiscale.interop.exporting import export_checkpoint
from arbiscale.interop.importing import Imported, import_checkpoint, load_denoiser, load_first_stage
from arbiscale.interop.liif import load_liif
from arbiscale.interop.linf import load_linf
from arbiscale.interop.local_implicit import import_local_implicit

__all__ = [
    "Imported",
    "export_checkpoint",
    "import_checkpoint",
    "import_local_implicit",
    "load_denoiser",
    "load_first_stage",
    "load_liif",
    "load_linf",
]
