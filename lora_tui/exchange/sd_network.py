"""The network of sd-scripts and LyCORIS: its module, its ranks, and the arguments that it is given."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from lora_tui.config.schema import TEXT_AS_IT_IS, UNETS
from lora_tui.exchange.draft import Draft
from lora_tui.exchange.fate import Fate
from lora_tui.exchange.places import Places
from lora_tui.text import N_, _

ARGS = "network_args"
MODULES: Mapping[str, str] = {
    "networks.lora": "lora", "networks.lora_flux": "lora", "networks.lora_sd3": "lora", "networks.lora_fa": "lora",
    "networks.dylora": "dylora", "networks.oft": "oft", "networks.oft_flux": "oft", "locon.locon_kohya": "locon",
}  # fmt: skip
ALGOS: Mapping[str, str] = {
    "lora": "locon", "locon": "locon", "loha": "loha", "lokr": "lokr", "ia3": "ia3", "dylora": "dylora",
    "glora": "glora", "diag-oft": "oft", "boft": "boft", "full": "full",
}  # fmt: skip
PRESETS = {
    "full": "all", "full-lin": "full-lin", "attn-mlp": "attn-mlp", "attn-only": "attn-only",
    "unet-convblock-only": "convblock-only", "unet-transformer-only": "attn-mlp",
}  # fmt: skip
#: argument -> the setting with the same values
_STRAIGHT: Mapping[str, str] = {
    "conv_dim": "network.conv_rank", "conv_alpha": "network.conv_alpha", "rank_dropout": "network.rank_dropout",
    "module_dropout": "network.module_dropout", "dropout": "network.dropout", "unit": "network.unit",
    "block_size": "network.unit", "factor": "network.factor", "decompose_both": "network.decompose_both",
    "full_matrix": "network.full_matrix", "unbalanced_factorization": "network.unbalanced",
    "constraint": "network.constraint", "constrain": "network.constraint", "rescaled": "network.rescaled",
    "use_tucker": "network.tucker", "use_cp": "network.tucker", "use_conv_cp": "network.tucker",
    "use_scalar": "network.scalar", "dora_wd": "network.dora", "weight_decompose": "network.dora",
    "rs_lora": "network.rslora", "loraplus_lr_ratio": "network.lora_plus",
    "loraplus_unet_lr_ratio": "network.lora_plus",
}  # fmt: skip
_NORMS = N_("layers of norms are not trained")
_IDLE: Mapping[str, str] = {
    "train_norm": _NORMS,
    "verbose": N_("a run keeps its own log"),
    "bypass_mode": N_("the same numbers are computed either way"),
    "rank_dropout_scale": N_("what stays is not scaled up"),
    "wd_on_output": N_("DoRA's sizes are those of the columns"),
    "disable_conv_cp": N_("wide convolutions are split only where network.tucker says so"),
    "split_qkv": N_("query, key and value are always layers of their own"),
    "train_t5xxl": N_("T5 is not trained"),
    "train_llm_adapter": N_("the language model is not trained"),
    "train_on_input": N_("(IA)^3 scales what each layer takes or gives as its authors did"),
    "ggpo_sigma": N_("noise on the weights is not known here"),
    "ggpo_beta": N_("noise on the weights is not known here"),
    "loraplus_text_encoder_lr_ratio": N_("one ratio holds for all parts; network.lora_plus"),
    "block_lr_zero_threshold": N_("layers with a rate of 0 are left out"),
}
_LISTS: Mapping[str, str] = {"block_dims": "rank", "block_alphas": "alpha"} | {
    "conv_block_dims": "conv_rank", "conv_block_alphas": "conv_alpha"
}  # fmt: skip
#: rank of a sort of layers -> the names of those layers in the model
_SORTS: Mapping[str, tuple[str, ...]] = {
    "img_attn_dim": tuple(f"transformer.transformer_blocks.*.attn.to_{name}" for name in ("q", "k", "v", "out.0")),
    "txt_attn_dim": tuple(
        f"transformer.transformer_blocks.*.attn.{name}" for name in ("add_q_proj", "add_k_proj", "add_v_proj",
        "to_add_out")
    ),
    "img_mlp_dim": ("transformer.transformer_blocks.*.ff.net.*",),
    "txt_mlp_dim": ("transformer.transformer_blocks.*.ff_context.net.*",),
    "img_mod_dim": ("transformer.transformer_blocks.*.norm1.linear",),
    "txt_mod_dim": ("transformer.transformer_blocks.*.norm1_context.linear",),
    "single_dim": tuple(
        f"transformer.single_transformer_blocks.*.{name}" for name in ("attn.to_?", "proj_mlp", "proj_out")
    ),
    "single_mod_dim": ("transformer.single_transformer_blocks.*.norm.linear",),
    "context_attn_dim": ("CONTEXT_ATTN",), "context_mlp_dim": ("CONTEXT_MLP",), "context_mod_dim": ("CONTEXT_MOD",),
    "x_attn_dim": ("X_ATTN",), "x_mlp_dim": ("X_MLP",), "x_mod_dim": ("X_MOD",),
}  # fmt: skip
_UNSAID = ("in_dims", "emb_dims", "only_if_contains", "network_reg_lrs", "network_reg_dims", "network_reg_alphas")
ALL_ARGS = frozenset({
    *_STRAIGHT, *_IDLE, *_LISTS, *_SORTS, *_UNSAID, "algo", "preset", "train_blocks", "train_block_indices",
    "train_double_block_indices", "train_single_block_indices", "down_lr_weight", "mid_lr_weight", "up_lr_weight",
})  # fmt: skip
"""Every argument of a network that is known."""


def take(draft: Draft, places: Places) -> None:
    """Read everything about the network."""
    given = draft.given
    args = dict(pairs(given.get(ARGS, [])))
    given.unfold(ARGS, args)
    _kind(draft, args)
    _ranks(draft)
    _rates(draft)
    rules = _rules(draft, args)
    for name, setting in _STRAIGHT.items():
        _argument(draft, args, name, setting)
    for name, why in _IDLE.items():
        if name in args:
            draft.idle(f"{ARGS}.{name}", _(why))
    if rules:
        draft.put("network.layers", rules)
    _text_encoder(draft)
    if "network_weights" in given:
        place, note = places.find(given.get("network_weights"))
        draft.take("network_weights", {"network.start_from": place}, note)


def pairs(value: Any) -> Iterator[tuple[str, str]]:
    """Arguments as they stand in a file: ``["conv_dim=4", "algo=loha"]``, or one text with blanks between."""
    texts = value if isinstance(value, (list, tuple)) else re.split(r"\s+(?=[A-Za-z_]\w*=)", str(value).strip())
    if isinstance(value, Mapping):
        texts = [f"{name}={one}" for name, one in value.items()]
    for text in texts:
        name, equals, told = str(text).strip().strip("\"'").partition("=")
        if name.strip():
            yield name.strip(), told.strip().strip("\"'") if equals else ""


def _kind(draft: Draft, args: Mapping[str, str]) -> None:
    given, family = draft.given, draft.config.model.family
    module = str(given.get("network_module", "")).lstrip(".")
    wide = float_of(args.get("conv_dim")) > 0
    if module == "lycoris.kohya":
        algo = args.get("algo", "lora").lower()
        kind = ALGOS.get(algo, "")
        if not kind:
            draft.unknown(f"{ARGS}.algo")
            return
        settings: dict[str, Any] = {"network.type": kind}
        targets = PRESETS.get(args.get("preset", "full"), "")
        if kind == "locon" and (family not in UNETS or targets in ("full-lin", "attn-mlp", "attn-only")):
            settings["network.type"] = "lora"  # no wide convolution is left
        draft.take("network_module", settings)
        if "algo" in args:
            draft.take(f"{ARGS}.algo", settings)
        _preset(draft, args, targets)
        if family in UNETS and targets in ("all", "convblock-only"):
            _all_convolutions(draft, args)
    elif module in MODULES:
        kind = MODULES[module]
        draft.take("network_module", {"network.type": "locon" if kind == "lora" and wide and family in UNETS else kind})
    elif "network_module" in given:
        draft.unknown("network_module")
    if "algo" in args and module != "lycoris.kohya":
        draft.idle(f"{ARGS}.algo", _("of LyCORIS alone"))
    if "preset" in args and module != "lycoris.kohya":
        draft.idle(f"{ARGS}.preset", _("of LyCORIS alone"))


def _preset(draft: Draft, args: Mapping[str, str], targets: str) -> None:
    if "preset" not in args:
        return
    if targets:
        draft.take(f"{ARGS}.preset", {"network.targets": targets})
    else:
        draft.unknown(f"{ARGS}.preset", _("presets in files of their own are not read; network.layers has rules"))


def _all_convolutions(draft: Draft, args: Mapping[str, str]) -> None:
    """LyCORIS adapts wide convolutions with the rank of the others where none of their own is given."""
    draft.put("network.all_convolutions", True)
    for name, whole in (("conv_dim", "network_dim"), ("conv_alpha", "network_alpha")):
        setting = "network.conv_rank" if name == "conv_dim" else "network.conv_alpha"
        if float_of(args.get(name)) <= 0 and float_of(draft.given.get(whole)) > 0:
            draft.try_to_put(setting, draft.given.get(whole))


def _ranks(draft: Draft) -> None:
    given = draft.given
    rank = given.get("network_dim")
    draft.take("network_dim", {"network.rank": rank})
    alpha = given.get("network_alpha")
    if "network_alpha" in given and float_of(alpha) == 0:
        draft.take("network_alpha", {"network.alpha": rank}, _("0 stands for the rank"))
    elif alpha is not None:
        if str(given.get("network_module", "")).startswith("networks.oft"):
            draft.take("network_alpha", {"network.constraint": alpha}, _("OFT's constraint"))
        else:
            draft.take("network_alpha", {"network.alpha": alpha})


def _argument(draft: Draft, args: Mapping[str, str], name: str, setting: str) -> None:
    if name not in args or draft.known(f"{ARGS}.{name}"):
        return
    value: Any = args[name]
    if setting in ("network.conv_rank", "network.conv_alpha", "network.lora_plus") and float_of(value) <= 0:
        draft.idle(f"{ARGS}.{name}", _("0 leaves it out"))
    else:
        draft.take(f"{ARGS}.{name}", {setting: value})


def _rates(draft: Draft) -> None:
    """Rates of the parts: one for all, one of each, or a list of those of the text encoders."""
    given = draft.given
    general = given.get("learning_rate")
    unet, text = given.get("unet_lr", general), given.get("text_encoder_lr", general)
    draft.take(given.first("unet_lr", "learning_rate"), {"learning.unet_lr": unet})
    listed = text if isinstance(text, (list, tuple)) else str(text).split() if text is not None else []
    if draft.config.model.family not in TEXT_AS_IT_IS and listed:
        settings: dict[str, Any] = {"learning.text_encoder_lr": listed[0]}
        if len(listed) > 1 and str(listed[1]) != str(listed[0]) and draft.config.model.family in ("sdxl", "sd3"):
            settings["learning.text_encoder_2_lr"] = listed[1]
        draft.take(given.first("text_encoder_lr", "learning_rate"), settings)
    several = draft.config.model.family in ("sdxl", "sd3")
    for key, setting in (
        ("text_encoder_lr1", "learning.text_encoder_lr"),
        ("text_encoder_lr2", "learning.text_encoder_2_lr" if several else ""),
    ):
        if key in given and setting and draft.config.model.family not in TEXT_AS_IT_IS:
            draft.take(key, {setting: given.get(key)})
    left = ("text_encoder_lr", "text_encoder_lr1", "text_encoder_lr2")
    draft.idle([key for key in left if not draft.known(key)], _("the family has no such thing"))
    if not draft.known("learning_rate"):
        draft.idle("learning_rate", _("both parts have rates of their own"))


def _text_encoder(draft: Draft) -> None:
    given, family = draft.given, draft.config.model.family
    if family in TEXT_AS_IT_IS:
        draft.idle("network_train_unet_only", _("the family's text encoders are never trained"))
        draft.unknown("network_train_text_encoder_only", _("the family's text encoders are never trained"))
        return
    trained = not given.on("network_train_unet_only")
    rate = given.get("text_encoder_lr")
    none = rate is not None and all(
        float_of(one) == 0 for one in (rate if isinstance(rate, list) else str(rate).split())
    )
    draft.take("network_train_unet_only", {"network.text_encoder": trained and not none})
    if none:
        draft.take("text_encoder_lr", {"network.text_encoder": False}, _("a rate of 0 trains nothing"))
    if given.on("cache_text_encoder_outputs") and trained and not none and "cache_text_encoder_outputs" in given:
        settings = {"network.text_encoder": False}
        draft.take(
            "cache_text_encoder_outputs", settings, _("kept embeddings and a trained text encoder exclude each other")
        )
    if given.on("network_train_text_encoder_only"):
        draft.take("network_train_text_encoder_only", {"learning.unet_lr": 0, "network.text_encoder": True})
    elif "network_train_text_encoder_only" in given:
        draft.take("network_train_text_encoder_only", {"network.text_encoder": draft.config.network.text_encoder})


def _rules(draft: Draft, args: Mapping[str, str]) -> list[str]:
    """Rules for single layers out of the arguments that speak of blocks."""
    rules: list[str] = []
    add: dict[str, Callable[[str], list[str]]] = {
        "train_blocks": _streams,
        "train_double_block_indices": lambda text: _only("DOUBLE", text),
        "train_single_block_indices": lambda text: _only("SINGLE", text),
        "train_block_indices": lambda text: _only("JOINT", text),
        "down_lr_weight": lambda text: [f"IN rate={_numbers(text)}"],
        "mid_lr_weight": _middle,
        "up_lr_weight": lambda text: [f"OUT rate={_numbers(text)}"],
    }
    for name, word in _LISTS.items():
        add[name] = partial(_listed, word)
    for name, layers in _SORTS.items():
        add[name] = partial(_of_sort, layers)
    for name, make in add.items():
        if name not in args:
            continue
        if not args[name]:
            draft.tell(f"{ARGS}.{name}", Fate.TAKEN, {})
            continue
        try:
            found = make(args[name])
        except ValueError:
            draft.unknown(f"{ARGS}.{name}", _("rules for layers are written in network.layers"))
            continue
        rules += found
        draft.tell(f"{ARGS}.{name}", Fate.TRANSLATED, {"network.layers": found})
    for name in _UNSAID:
        if name in args:
            draft.idle(f"{ARGS}.{name}", _("rules for layers are written in network.layers"))
    return rules


def _numbers(text: str) -> str:
    """``1,0.5,0`` of numbers alone; curves by name are none.

    Raises:
        ValueError: it is something else.
    """
    return ",".join(f"{float(one):g}" for one in text.strip("[]() ").split(","))


def _listed(word: str, text: str) -> list[str]:
    return [f"blocks {word}={_numbers(text)}"]


def _of_sort(layers: tuple[str, ...], text: str) -> list[str]:
    return [f"{one} rank={int(text)}" for one in layers]


def _middle(text: str) -> list[str]:
    numbers = _numbers(text).split(",")
    if len(numbers) == 1:
        return [f"M00 rate={numbers[0]}"]
    return [f"M00.{place} rate={number}" for place, number in enumerate(numbers)]


def _streams(text: str) -> list[str]:
    """The blocks of one stream, or of both.

    Raises:
        ValueError: it is no stream.
    """
    if text not in ("all", "double", "single"):
        raise ValueError(text)
    return {"all": [], "double": ["SINGLE rate=0"], "single": ["DOUBLE rate=0"]}[text]


def _only(kind: str, text: str) -> list[str]:
    """The blocks that are trained: ``all``, ``none``, or ``0-5,8``."""
    if text == "all":
        return []
    rules = [f"{kind} rate=0"]
    if text == "none":
        return rules
    for part in text.replace(" ", "").split(","):
        first, dash, last = part.partition("-")
        rules.append(f"{kind}{int(first)}-{int(last)} rate=1" if dash else f"{kind}{int(first)} rate=1")
    return rules


def float_of(value: object) -> float:
    """A number, or -1 for what is none."""
    try:
        number = float(str(value))
    except ValueError:
        return -1.0
    return number if math.isfinite(number) else -1.0
