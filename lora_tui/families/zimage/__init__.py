"""Z-Image and Z-Image-Turbo: one stream of image and text, a Qwen3 language model as text encoder, flow matching."""
