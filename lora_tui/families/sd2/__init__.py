"""Stable Diffusion 2.x: the UNet of 1.x with OpenCLIP-H beside it, in models of 512 and of 768 px."""
