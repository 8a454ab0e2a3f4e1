"""The networks: encoder, posterior, feature decoder and implicit head (the autoencoder), denoiser, discriminator."""
