"""The families whose makers keep several of diffusers' layers in one. Needs no torch."""

from __future__ import annotations

from lora_tui.weights.names.chroma_original import ORIGINAL as CHROMA
from lora_tui.weights.names.flux2_original import ORIGINAL as FLUX2
from lora_tui.weights.names.flux_original import ORIGINAL as FLUX
from lora_tui.weights.names.sd3_original import ORIGINAL as SD3
from lora_tui.weights.names.zimage_original import ORIGINAL as ZIMAGE

ORIGINALS = {"flux": FLUX, "flux2": FLUX2, "sd3": SD3, "chroma": CHROMA, "zimage": ZIMAGE}
"""By the family as the schema calls it; where several have a layer of a name and a width, the first holds."""
