"""The networks, tensors in and tensors out: autoencoder and its parts, denoiser."""
