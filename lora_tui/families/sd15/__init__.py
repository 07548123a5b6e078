"""Stable Diffusion 1.x: one UNet, one CLIP text encoder, a VAE of 8x downsampling with 4 channels."""
