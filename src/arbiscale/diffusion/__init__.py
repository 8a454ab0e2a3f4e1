"""The diffusion process and its samplers, independent of any network."""
