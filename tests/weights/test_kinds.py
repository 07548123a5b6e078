"""Which layers an adapter of each kind has something for."""

from __future__ import annotations

import re

import pytest

from lora_tui.families import facts_for
from lora_tui.weights.kinds import adapts, scales_inputs

KEYS = {"attn.to_k", "attn.to_v", "attn.add_k_proj", "attn.add_v_proj"}
#: What each family's blocks have for (IA)^3: keys and values, and, scaled where they read, second feed-forward layers.
SCALED = {
    "sd15": ({"attn1.to_k", "attn1.to_v", "attn2.to_k", "attn2.to_v"}, {"ff.net.2"}),
    "sd3": (KEYS, {"ff.net.2", "ff_context.net.2"}),
    "flux": (KEYS, {"ff.net.2", "ff_context.net.2"}),
    "chroma": (KEYS, {"ff.net.2", "ff_context.net.2"}),
    "flux2": (KEYS, {"ff.linear_out", "ff_context.linear_out"}),
    "zimage": ({"attention.to_k", "attention.to_v"}, {"feed_forward.w2"}),
    "qwen": (KEYS, {"img_mlp.net.2", "txt_mlp.net.2"}),
}


@pytest.mark.parametrize("family", SCALED)
def test_ia3_scales_keys_and_values_and_what_the_second_feed_forward_layer_reads(family: str) -> None:
    paths = [target.path for target in facts_for(family).targets(text_encoder=False) if adapts("ia3", target.path)]
    outputs, inputs = ({_in_its_block(path) for path in paths if scales_inputs(path) is side} for side in (False, True))
    assert (outputs, inputs) == SCALED[family]


def _in_its_block(path: str) -> str:
    return re.split(r"blocks\.\d+\.|layers\.\d+\.", path)[-1]
