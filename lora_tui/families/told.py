"""Configuration files of model folders: read, and refused where a number in them cannot be. Knows no torch.

What stands there decides how many layers are listed and how large a network is built, before any weight is looked at.
A number beyond all bounds would keep the program busy for ever, or ask for all the memory there is.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lora_tui.errors import UserError
from lora_tui.files import open_file
from lora_tui.text import _, plain

LARGEST_FILE = 64 * 2**20
"""Bytes; the largest of such files, a tokenizer's, has a few million."""
LAYERS, WIDTH, WORDS, SIDE = 1000, 2**20, 2**24, 2**12
"""Several times what the largest published models have."""
#: The least and the most of each number, and whether a list of them may stand in its place.
NUMBERS: dict[str, tuple[int, int, bool]] = {
    **dict.fromkeys(("num_layers", "num_hidden_layers", "n_layers", "approximator_layers"), (1, LAYERS, False)),
    **dict.fromkeys(("num_single_layers", "n_refiner_layers"), (0, LAYERS, False)),
    **dict.fromkeys(("transformer_layers_per_block", "layers_per_block"), (0, LAYERS, True)),
    **dict.fromkeys(("block_out_channels", "attention_head_dim", "num_attention_heads"), (1, WIDTH, True)),
    **dict.fromkeys(
        (
            *("cross_attention_dim", "in_channels", "out_channels", "latent_channels", "norm_num_groups"),
            *("projection_class_embeddings_input_dim", "joint_attention_dim", "pooled_projection_dim"),
            *("caption_projection_dim", "approximator_num_channels", "approximator_hidden_dim"),
            *("hidden_size", "intermediate_size", "projection_dim", "head_dim", "num_key_value_heads"),
            *("d_model", "d_ff", "d_kv", "num_heads", "dim", "n_heads", "n_kv_heads", "cap_feat_dim"),
        ),
        (1, WIDTH, False),
    ),
    **dict.fromkeys(("vocab_size", "max_position_embeddings"), (1, WORDS, False)),
    "pos_embed_max_size": (1, SIDE, False),
    **dict.fromkeys(("base_image_seq_len", "max_image_seq_len"), (1, WORDS, False)),
}
#: Broken numbers: what each lies between, itself neither.
BETWEEN = {
    "scaling_factor": (0.0, 1000.0),
    "shift_factor": (-1000.0, 1000.0),
    "beta_start": (0.0, 1.0),
    "beta_end": (0.0, 1.0),
    **dict.fromkeys(("layer_norm_eps", "layer_norm_epsilon", "rms_norm_eps", "norm_eps", "batch_norm_eps"), (0.0, 1.0)),
    "shift": (0.0, 1000.0),
    **dict.fromkeys(("base_shift", "max_shift"), (-100.0, 100.0)),
    "shift_terminal": (0.0, 1.0),
}
#: What alone is said of each in the models that are trained here.
CHOICES: dict[str, tuple[object, ...]] = {
    "hidden_act": ("quick_gelu", "gelu", "silu"),
    "act_fn": ("silu", "swish"),
    "feed_forward_proj": ("gated-gelu",),
    "relative_attention_num_buckets": (32,),
    "mid_block_add_attention": (True,),
    "flip_sin_to_cos": (True,),
    "use_dynamic_shifting": (True, False),
    "time_shift_type": ("exponential",),
}


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object in ``path``; what is no regular file, a pipe say, is never waited for.

    Raises:
        OSError: it is not there or cannot be read.
        ValueError: it is no JSON object.
    """
    with open_file(path) as file:
        text = file.read(LARGEST_FILE + 1)
    try:
        value = json.loads(text) if len(text) <= LARGEST_FILE else None
    except RecursionError:
        value = None
    if not isinstance(value, dict):
        raise ValueError(path.name)
    return value


def read_config(path: Path) -> dict[str, Any]:
    """What a part's configuration says; what stands in :data:`NUMBERS`, :data:`BETWEEN`, :data:`CHOICES` can be so.

    Raises:
        OSError: it is not there or cannot be read.
        ValueError: it is no JSON object.
        UserError: a number in it cannot be (``model.folder``), or its weights are packed (``model.packed``).
    """
    config = read_object(path)
    _check(config, path)
    inner = config.get("text_config")
    if isinstance(inner, dict):  # of models that read pictures as well as texts
        _check(inner, path)
    return config


def _check(config: dict[str, Any], path: Path) -> None:
    _refuse_packed(config, path)
    for name, (least, most, lists) in NUMBERS.items():
        value = config.get(name)
        if value is not None and not _fits(value, least, most, lists=lists):
            raise unusual(path, name, value)
    for name, (below, above) in BETWEEN.items():
        value = config.get(name)
        if value is not None and not (type(value) in (int, float) and below < value < above):  # NaN is never between
            raise unusual(path, name, value)
    for name, choices in CHOICES.items():
        value = config.get(name)
        if value is not None and value not in choices:
            raise unusual(path, name, value)
    channels, groups = config.get("block_out_channels", [1]), config.get("norm_num_groups", 1)
    if not isinstance(channels, list) or not channels:
        raise unusual(path, "block_out_channels", channels)
    if any(width % groups for width in channels if groups and type(width) is int):
        raise unusual(path, "norm_num_groups", groups)


def _refuse_packed(config: dict[str, Any], path: Path) -> None:
    packed = config.get("quantization_config")
    if not packed:
        return
    method = packed.get("quant_method", "") if isinstance(packed, dict) else ""
    raise UserError(
        _("{file} says quantization_config: its weights are packed ({method}), which is not read here.").format(
            file=plain(f"{path.parent.name}/{path.name}", limit=120), method=plain(str(method or "?"), limit=40)
        ),
        place=plain(str(path)),
        remedy=_("Use the model in bf16 or fp8; memory.base_weights packs it here."),
        code="model.packed",
    )


def unusual(path: Path, name: str, value: object) -> UserError:
    """The error for a ``value`` of ``name``, in the file ``path``, that no model trained here has."""
    return UserError(
        _("{file} says {name} = {value}, which no model that is trained here has.").format(
            file=plain(f"{path.parent.name}/{path.name}", limit=120),
            name=name,
            value=plain(json.dumps(value), limit=60),
        ),
        place=plain(str(path)),
        remedy=_("The model folder is damaged or of another kind of model; fetch it again or choose another."),
        code="model.folder",
    )


def _fits(value: object, least: int, most: int, *, lists: bool) -> bool:
    numbers = value if lists and isinstance(value, list) else [value]
    # lists within lists are a way of building that the families themselves refuse, by its name
    return all((lists and isinstance(n, list)) or (type(n) is int and least <= n <= most) for n in numbers)
