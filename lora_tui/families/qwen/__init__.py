"""Qwen-Image: blocks with a stream for the image and one for the text, Qwen2.5-VL as text encoder, flow matching."""
