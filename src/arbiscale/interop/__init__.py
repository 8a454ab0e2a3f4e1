"""Weights trained elsewhere: published networks loaded into this project's own, and written back."""

from arbiscale.interop.networks import load_denoiser, load_first_stage

__all__ = ["load_denoiser", "load_first_stage"]
