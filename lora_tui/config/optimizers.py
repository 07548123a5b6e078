"""What the optimizers need and take, one row each. Knows no torch: form, checks and plan read it, the trainer builds.

Sources: the libraries' own signatures; memory is what each keeps of a trained value besides its gradient.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

OTHER = "other"
"""The choice that takes any class by name."""
LIBRARY = "pytorch_optimizer"
"""Where names without a dot are looked for."""
#: library -> what it is installed by, where the two differ
PACKAGES = {"prodigyplus": "prodigy-plus-schedule-free"}


@dataclass(frozen=True)
class OptimizerFacts:
    """One optimizer.

    Attributes:
        title: its name in papers and other programs.
        place: ``module:Class``; empty for :data:`OTHER`.
        arguments: what it is called with besides the settings, where that is not its own default.
        state_bytes: kept for each trained value, on the device and in a resume state.
        decay, betas, eps: which of the settings it takes.
        adaptive: it finds its step size by itself and multiplies it with the learning rate, which is 1.
        averages: its weights in use are another point than those that learn, so no schedule is needed.
        cuda: it works on an NVIDIA GPU alone.
        high_rate: a learning rate above this is hardly meant.
    """

    title: str
    place: str = ""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    state_bytes: float = 8.0
    decay: bool = True
    betas: bool = False
    eps: bool = False
    adaptive: bool = False
    averages: bool = False
    cuda: bool = False
    high_rate: float = 1e-3  # ten times the usual; above it AdamW burns a LoRA within a few hundred steps

    @property
    def library(self) -> str:
        """The package that it comes from."""
        return self.place.partition(":")[0].partition(".")[0] or LIBRARY


def _bits(title: str, name: str, size: float, *, adam: bool = True, **more: Any) -> OptimizerFacts:
    """One of bitsandbytes, which keeps its averages in 8 bits with a scale for each block of 256."""
    return OptimizerFacts(
        title, f"bitsandbytes.optim:{name}", state_bytes=size, betas=adam, eps=adam, cuda=True, **more
    )


def _free(title: str, name: str, size: float = 8.0, **more: Any) -> OptimizerFacts:
    return OptimizerFacts(
        title, f"schedulefree:{name}", state_bytes=size, averages=True, high_rate=1e-2, **more
    )  # fmt: skip


def _dadapt(title: str, name: str, size: float) -> OptimizerFacts:
    return OptimizerFacts(title, f"{LIBRARY}:{name}", state_bytes=size, adaptive=True)


ANY_RATE = float("inf")

#: ``optimizer.type`` -> what is known of it
OPTIMIZER_FACTS: Mapping[str, OptimizerFacts] = {
    "adamw": OptimizerFacts("AdamW", "torch.optim:AdamW", {"fused": True}, betas=True, eps=True),
    "adamw8bit": _bits("AdamW8bit", "AdamW8bit", 2.04),
    "paged_adamw8bit": _bits("PagedAdamW8bit", "PagedAdamW8bit", 2.04),
    "paged_adamw": _bits("PagedAdamW", "PagedAdamW", 8.0),
    "lion": OptimizerFacts("Lion", f"{LIBRARY}:Lion", state_bytes=4.0, high_rate=3e-4),
    "lion8bit": _bits("Lion8bit", "Lion8bit", 1.02, adam=False, high_rate=3e-4),
    "paged_lion8bit": _bits("PagedLion8bit", "PagedLion8bit", 1.02, adam=False, high_rate=3e-4),
    "prodigy": OptimizerFacts(
        "Prodigy", "lora_tui.trainer.optim.prodigy:Prodigy", state_bytes=16.0, betas=True, eps=True, adaptive=True
    ),
    "dadapt_adam": _dadapt("DAdaptAdam", "DAdaptAdam", 12.0),
    "dadapt_adan": _dadapt("DAdaptAdan", "DAdaptAdan", 20.0),
    "dadapt_adagrad": _dadapt("DAdaptAdaGrad", "DAdaptAdaGrad", 16.0),
    "dadapt_lion": _dadapt("DAdaptLion", "DAdaptLion", 8.0),
    "dadapt_sgd": _dadapt("DAdaptSGD", "DAdaptSGD", 12.0),
    "adafactor": OptimizerFacts(
        "Adafactor",
        "transformers.optimization:Adafactor",
        {"scale_parameter": False, "relative_step": False},
        state_bytes=0.5,
        high_rate=1e-2,
    ),
    "came": OptimizerFacts("CAME", f"{LIBRARY}:CAME", state_bytes=5.0),
    "ademamix": OptimizerFacts("AdEMAMix", f"{LIBRARY}:AdEMAMix", state_bytes=12.0),
    "ademamix8bit": _bits("AdEMAMix8bit", "AdEMAMix8bit", 3.06, adam=False),
    "paged_ademamix8bit": _bits("PagedAdEMAMix8bit", "PagedAdEMAMix8bit", 3.06, adam=False),
    "adamw_schedulefree": _free("AdamWScheduleFree", "AdamWScheduleFree", betas=True, eps=True),
    "radam_schedulefree": _free("RAdamScheduleFree", "RAdamScheduleFree", betas=True, eps=True),
    "sgd_schedulefree": _free("SGDScheduleFree", "SGDScheduleFree", 4.0),
    "sgd": OptimizerFacts(
        "SGDNesterov",
        "torch.optim:SGD",
        {"momentum": 0.9, "nesterov": True, "fused": True},
        state_bytes=4.0,
        high_rate=ANY_RATE,
    ),
    "sgd8bit": _bits(
        "SGDNesterov8bit",
        "SGD8bit",
        1.02,
        adam=False,
        arguments={"momentum": 0.9, "nesterov": True},
        high_rate=ANY_RATE,
    ),
    OTHER: OptimizerFacts("another one", high_rate=ANY_RATE),
}
