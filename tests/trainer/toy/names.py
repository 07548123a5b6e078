"""Dotted names, as ComfyUI and diffusers read them of FLUX."""

from __future__ import annotations

KINDS = {"scale": "scale.weight", "alpha": "alpha"}


def tensor_name(part: str, path: str, kind: str) -> str:
    return f"{part}.{path}.{KINDS[kind]}"
