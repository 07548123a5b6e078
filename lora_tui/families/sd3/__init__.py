"""Stable Diffusion 3 and 3.5: joint blocks of image and text, two CLIP encoders and T5, flow matching."""
