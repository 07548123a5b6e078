"""What sd-scripts refuses, or breaks at, of options that are right by themselves.

It checks some pairs when a training begins, knows fewer names than we do in some places, and takes the remainder of a
division by its intervals, so that 0 ends a run at its first epoch. What is left out here is kept in the table of
:mod:`lora_tui.exchange.told`, and named by the report.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lora_tui.config.optimizers import LIBRARY
from lora_tui.config.schema import Config

INTERVALS = ("save_every_n_epochs", "sample_every_n_epochs", "validate_every_n_epochs")
"""Never is said by leaving them out."""
LOSSES = frozenset({"l1", "l2", "huber", "smooth_l1"})
SCHEDULES = frozenset({
    "linear", "cosine", "cosine_with_restarts", "polynomial", "constant", "constant_with_warmup", "adafactor",
    "piecewise_constant", "inverse_sqrt", "cosine_with_min_lr", "warmup_stable_decay",
})  # fmt: skip
SAMPLERS = frozenset({
    "ddim", "pndm", "lms", "euler", "euler_a", "heun", "dpm_2", "dpm_2_a", "dpmsolver", "dpmsolver++", "dpmsingle",
    "k_lms", "k_euler", "k_euler_a", "k_dpm_2", "k_dpm_2_a",
})  # fmt: skip
TOKENS = frozenset({150, 225})
"""Lengths of captions beside the usual one, which is said by leaving the option out."""
CLASSES: Mapping[str, str] = {
    "came": f"{LIBRARY}.CAME",
    "ademamix": f"{LIBRARY}.AdEMAMix",
    "ademamix8bit": "bitsandbytes.optim.AdEMAMix8bit",
    "paged_ademamix8bit": "bitsandbytes.optim.PagedAdEMAMix8bit",
}
"""Optimizers that it has no name for: it takes them by their class."""


def accepted(options: Mapping[str, Any], config: Config) -> dict[str, Any]:
    """``options`` without what sd-scripts would not begin a training with."""
    out = {key for key in INTERVALS if options.get(key) == 0}
    for key, known in (
        ("loss_type", LOSSES),
        ("lr_scheduler", SCHEDULES),
        ("sample_sampler", SAMPLERS),
        ("max_token_length", TOKENS),
    ):
        if options.get(key) not in known:
            out.add(key)
    if not options.get("noise_offset"):
        out |= {"adaptive_noise_scale", "noise_offset_random_strength"}  # it wants one to change
    elif options.get("multires_noise_iterations"):
        out |= {"multires_noise_iterations", "multires_noise_discount"}  # both at once are refused
    out.add("v_pred_like_loss" if options.get("v_parameterization") else "scale_v_pred_loss_like_noise_pred")
    if config.data.random_crop:
        out |= {"cache_latents", "cache_latents_to_disk"}
    out |= {key for key in ("lr_scheduler_args", "lr_scheduler_type", "optimizer_type") if not options.get(key)}
    return {key: value for key, value in options.items() if key not in out}


def class_of(kind: str) -> str:
    """An optimizer of another library as sd-scripts finds it; names without a place are those of torch there."""
    return kind if "." in kind or not kind else f"{LIBRARY}.{kind}"
