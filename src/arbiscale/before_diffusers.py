"""Import this before diffusers, which imports torchvision where it believes it to be at hand."""

from diffusers.utils import import_utils

if import_utils.is_torchvision_available():
    import arbiscale.torchvision_operators  # noqa: F401
