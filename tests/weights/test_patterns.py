"""Patterns of peft for layers' names: the same names as its regular expressions match, in little time."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from lora_tui.errors import UserError
from lora_tui.weights.patterns import ends_with
from lora_tui.weights.reading import read_lora

NAMES = ("down_blocks.10.attn1.to_q", "up_blocks.1.attn2.to_out.0", "proj_in", "x.proj_in", "xproj_in", "to_out_0", "")
PATTERNS = (
    "to_q", "attn1.to_q", "attn.to_q", "proj_in", "to_out.0", r"to_out\.0", ".*", ".*attn1.*", r".*\.to_q", "", "to_",
    r"down_blocks\.\d+\.attn[12]\.to_(q|k)", "(proj_in|to_out.0)", "(?:x|y)?proj_in", "x?proj_in", "x+.?proj_in",
    "^proj_in", "^x.proj_in$", r"(up|down)_blocks\.[^0]\..*", r"\w*", r"\w+\.proj_in", "down.*?to_q", "a|", "[0-9]+",
    "to_out_0", ".", "x.*", r"\D+",
)  # fmt: skip


@pytest.mark.parametrize("pattern", PATTERNS)
def test_the_same_names_match_as_with_regular_expressions(pattern: str) -> None:
    if "(?:x|y)?" in pattern:
        with pytest.raises(ValueError, match="proj_in"):
            ends_with("x", pattern)
        return
    for name in NAMES:
        assert ends_with(name, pattern) == bool(re.match(rf"(.*\.)?({pattern})$", name)), name


def _file(path: Path, pattern: str) -> Path:
    stem = "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q"
    tensors = {f"{stem}.lora_A.weight": torch.ones(4, 6), f"{stem}.lora_B.weight": torch.ones(5, 4)}
    settings = {"unet.lora_alpha": 4, "unet.alpha_pattern": {pattern: 1.0}}
    save_file(tensors, path, {"lora_adapter_metadata": json.dumps(settings)})
    return path


def test_a_pattern_that_python_never_finishes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        read_lora(_file(tmp_path / "a.safetensors", "(([a-z_0-9.])+)+!"))
    assert caught.value.code == "lora.pattern"
    many = _file(tmp_path / "b.safetensors", ".*" * 200 + "!")
    assert [layer.alpha for layer in read_lora(many).layers.values()] == [4]
    own = _file(tmp_path / "c.safetensors", r".*\.attn\d\.to_(q|k)")
    assert [layer.alpha for layer in read_lora(own).layers.values()] == [1]
