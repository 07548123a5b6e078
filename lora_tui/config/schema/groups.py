"""The model families as the schema calls them, and which of them have what: a new one is entered here first."""

from __future__ import annotations

from typing import Literal

Family = Literal["sd15", "sd2", "sdxl", "sd3", "flux", "flux2", "chroma", "zimage", "qwen"]
FAMILY_LABELS = (
    ("sd15", "Stable Diffusion 1.5"),
    ("sd2", "Stable Diffusion 2"),
    ("sdxl", "Stable Diffusion XL"),
    ("sd3", "Stable Diffusion 3 and 3.5"),
    ("flux", "FLUX.1"),
    ("flux2", "FLUX.2 klein"),
    ("chroma", "Chroma"),
    ("zimage", "Z-Image"),
    ("qwen", "Qwen-Image"),
)
UNETS = ("sd15", "sd2", "sdxl")
"""Families that draw with a UNet, and whose CLIP reads a caption in chunks of 75 tokens."""
FLOW = ("flux", "flux2", "sd3", "chroma", "zimage", "qwen")
"""Families that learn flow matching."""
WITH_CLIP_L = ("flux", "sd3")
"""Families whose CLIP-L may lie in a file of its own."""
WITH_CLIP_G = ("sd3",)
WITH_T5 = ("flux", "sd3", "chroma")
"""Families that read captions with T5, which may lie in a file of its own."""
WITH_LLM = ("flux2", "zimage", "qwen")
"""Families that read captions with a language model, which may lie in a file of its own."""
MASKED = ("flux",)
"""Families that can leave out what fills a caption up, where a setting says so."""
ALWAYS_MASKED = ("chroma", "zimage", "qwen")
"""Families that always do."""
TEXT_AS_IT_IS = ("flux2", "chroma", "zimage", "qwen")
"""Families without a text encoder that adapters can be trained on."""
LEARNS_TEXT = tuple(family for family, _label in FAMILY_LABELS if family not in TEXT_AS_IT_IS)
"""Families with one."""
TWO_TEXTS = ("sdxl", "sd3")
"""Those of them with two."""
FROZEN_TEXT = ("flux", "flux2", "sd3", "chroma", "zimage", "qwen")
"""Families with a text encoder that is never trained."""
TOLD_GUIDANCE = ("flux",)
"""Families whose network is told the strength of guidance, and which read no negative prompt."""
