"""Chroma: FLUX.1's blocks without modulations of their own, which one small network gives, T5 alone, FLUX.1's VAE."""
