"""What stands in a picture's PNG: its settings in the words of A1111, which other programs read, and in our own."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

from PIL.Image import Image
from PIL.PngImagePlugin import PngInfo

from lora_tui import __version__
from lora_tui.config.samplers import A1111, AUTOMATIC, SPACINGS
from lora_tui.config.schema import SamplePrompt
from lora_tui.weights.ingredients import Ingredient

PARAMETERS, OWN = "parameters", "lora-tui"
"""The names of both texts in a PNG."""


def parameters(prompt: SamplePrompt, loras: Sequence[Ingredient] = (), **told: Any) -> str:
    """The settings as A1111 writes them: the prompt with its LoRA files, the negative prompt, and a line of values.

    ``told`` are further values by A1111's names with ``_`` for blanks; empty ones are left out.
    """
    lines = [" ".join(filter(None, [prompt.prompt, *(_named(one) for one in loras)]))]
    if prompt.negative:
        lines.append(f"Negative prompt: {prompt.negative}")
    values = {
        "Steps": prompt.steps,
        "Sampler": A1111.get(prompt.sampler, prompt.sampler),
        "Schedule type": SPACINGS[prompt.spacing] if prompt.spacing != AUTOMATIC else "",
        "CFG scale": f"{prompt.guidance:g}",
        "Seed": prompt.seed,
        "Size": f"{prompt.width}x{prompt.height}",
        **{name.replace("_", " "): value for name, value in told.items() if value},
    }
    lines.append(", ".join(f"{name}: {_quoted(str(value))}" for name, value in values.items() if value != ""))
    return "\n".join(lines)


def _named(lora: Ingredient) -> str:
    """``<lora:name:text:unet>`` where the strengths differ; block weights as the extension for them takes them."""
    name = lora.path.stem
    strength = f"{lora.strength:g}" if lora.text is None else f"{lora.text:g}:{lora.strength:g}"
    return f"<lora:{name}:{strength}{f':lbw={lora.blocks}' if lora.blocks else ''}>"


def _quoted(text: str) -> str:
    """A1111 quotes values with a comma, a colon or a line break, as JSON."""
    return json.dumps(text, ensure_ascii=False) if any(sign in text for sign in ",:\n") else text


def as_png(picture: Image, text: str, own: Mapping[str, Any]) -> bytes:
    """The picture as a PNG with both texts."""
    info = PngInfo()
    info.add_itxt(PARAMETERS, text)
    info.add_itxt(OWN, json.dumps({"version": __version__, **own}, ensure_ascii=False, sort_keys=True))
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", pnginfo=info)
    return buffer.getvalue()
