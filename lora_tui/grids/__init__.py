"""Grids of pictures that compare checkpoints, strengths and settings, and the scores beneath them."""
