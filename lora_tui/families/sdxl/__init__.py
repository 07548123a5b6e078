"""Stable Diffusion XL: a UNet of three levels, CLIP-L and OpenCLIP-G, and sizes that it is told."""
