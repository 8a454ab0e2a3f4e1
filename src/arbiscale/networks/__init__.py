"""The networks: autoencoder (encoder, posterior, feature decoder, implicit head), denoiser, discriminator."""
