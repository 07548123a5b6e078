"""FLUX.2 klein: double and single blocks that share their modulations, Qwen3 for text, latents of 128 channels."""
