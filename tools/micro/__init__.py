"""Trains the demo's micro Stable Diffusion 1.5 and its image encoder from nothing: ``python -m tools.micro FOLDER``."""
