"""The optimizer: what turns gradients into updates."""

from __future__ import annotations

from typing import Any, Literal

from lora_tui.config.optimizers import OPTIMIZER_FACTS, OTHER
from lora_tui.config.option import Rule, option
from lora_tui.config.schema.section import Section
from lora_tui.text.translate import N_

OptimizerType = Literal[
    "adamw", "adamw8bit", "paged_adamw8bit", "paged_adamw", "lion", "lion8bit", "paged_lion8bit", "prodigy",
    "dadapt_adam", "dadapt_adan", "dadapt_adagrad", "dadapt_lion", "dadapt_sgd", "adafactor", "came", "ademamix",
    "ademamix8bit", "paged_ademamix8bit", "adamw_schedulefree", "radam_schedulefree", "sgd_schedulefree", "sgd",
    "sgd8bit", "other",
]  # fmt: skip


def _takes(name: str) -> Any:
    return lambda config: getattr(OPTIMIZER_FACTS[config.optimizer.type], name)


_TITLES = {**{name: facts.title for name, facts in OPTIMIZER_FACTS.items()}, OTHER: N_("another one")}


class OptimizerSection(Section):
    """Optimizer"""

    type: OptimizerType = option(
        "adamw",
        N_("optimizer"),
        N_(
            "AdamW is safe; 8-bit ones keep a quarter of it, on an NVIDIA GPU. Lion wants a tenth of its rate. Prodigy "
            "and DAdapt find the step size: set rates to 1. ScheduleFree wants a constant schedule."
        ),
        labels=tuple(_TITLES.items()),
        peers=("optimizer_type", "optimizer"),
    )
    kind: str = option(
        "",
        N_("its class"),
        N_(
            "A name of the library pytorch-optimizer, such as ADOPT or StableAdamW, or any class with dots, such as "
            "torch.optim.RAdam or prodigyplus.ProdigyPlusScheduleFree."
        ),
        when=Rule(lambda c: c.optimizer.type == OTHER, N_("optimizer is another one")),
        peers=("optimizer_type",),
    )
    args: list[str] = option(
        None,
        N_("more arguments"),
        N_(
            "What the optimizer is given besides, as name=value: d_coef=2, betas=(0.9, 0.99). Names and values that it "
            "does not take are refused."
        ),
        factory=list,
        expert=True,
        peers=("optimizer_args", "optimizer_args_custom", "prodigy_d_coef", "prodigy_d0"),
    )
    weight_decay: float = option(
        0.01,
        N_("weight decay"),
        N_("Pulls the adapter's weights towards zero a little at each step."),
        ge=0,
        le=10,
        expert=True,
        when=Rule(_takes("decay"), N_("the optimizer has a weight decay")),
        peers=("weight_decay",),
    )
    beta1: float = option(
        0.9,
        N_("beta 1"),
        N_("Memory of the gradient's mean."),
        ge=0.0,
        le=0.9999,
        expert=True,
        when=Rule(_takes("betas"), N_("the optimizer has Adam's two betas")),
    )
    beta2: float = option(
        0.999,
        N_("beta 2"),
        N_("Memory of the gradient's square."),
        ge=0.0,
        le=0.99999,
        expert=True,
        when=Rule(_takes("betas"), N_("the optimizer has Adam's two betas")),
    )
    eps: float = option(
        1e-8,
        N_("epsilon"),
        N_("Keeps the division stable."),
        gt=0,
        le=1,
        expert=True,
        when=Rule(_takes("eps"), N_("the optimizer has Adam's epsilon")),
    )
    max_grad_norm: float = option(
        1.0,
        N_("clip gradients"),
        N_("A gradient longer than this is shortened to it. 0 leaves gradients as they are."),
        ge=0,
        le=1e6,
        expert=True,
        peers=("max_grad_norm",),
    )
