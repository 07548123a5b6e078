"""FLUX.1: a transformer of double and single blocks that learns flow matching, CLIP-L and T5, a VAE of 16 channels."""
