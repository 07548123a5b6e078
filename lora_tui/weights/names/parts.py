"""What a tensor in a LoRA file is of its layer, whichever program named it. Needs no torch."""

from __future__ import annotations

import re

_KINDS = (
    ("down", re.compile(r"\.(?:lora_down|lora_A(?:\.\w+)?|lora\.down|lora_linear_layer\.down)\.weight\Z")),
    ("up", re.compile(r"\.(?:lora_up|lora_B(?:\.\w+)?|lora\.up|lora_linear_layer\.up)\.weight\Z")),
    ("mid", re.compile(r"\.lora_mid\.weight\Z")),
    ("alpha", re.compile(r"\.alpha\Z")),
    ("sizes", re.compile(r"\.dora_scale\Z")),
    ("row_sizes", re.compile(r"\.lora_magnitude_vector(?:\.(?!weight)\w+)?(?:\.weight)?\Z")),
)


#: The tensors of a layer of another kind.
_OTHER = re.compile(
    r"\.(hada_[wt]\d(?:_[ab])?|lokr_[wt]\d(?:_[ab])?|[ab][12]\.weight|on_input|oft_blocks|rescale|diff|diff_b|alpha"
    r"|dora_scale|scalar|[wb]_norm|(?<!_)weight)\Z"
)


def other_and_layer(name: str) -> tuple[str, str]:
    """The name of a tensor after its layer's, where it may be one of LyCORIS' kinds, and the layer; else empty."""
    found = _OTHER.search(name)
    return (found[1], name[: found.start()]) if found else ("", name)


def kind_and_layer(name: str) -> tuple[str, str]:
    """What a tensor is (``down``, ``up``, ``alpha`` ...) of which layer; empty for one of no known kind."""
    for kind, pattern in _KINDS:
        if found := pattern.search(name):
            return kind, name[: found.start()]
    return "", name
