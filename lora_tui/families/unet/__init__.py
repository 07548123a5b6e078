"""What Stable Diffusion 1.x, 2.x and XL share: a UNet of attention and convolutions, CLIP encoders, one kind of VAE."""
