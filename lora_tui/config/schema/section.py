"""What every group of settings shares, and the values that several of them allow."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

Precision = Literal["bf16", "fp16", "fp32"]
Schedule = Literal[
    "constant", "linear", "cosine", "cosine_with_restarts", "polynomial", "inverse_sqrt", "rex", "warmup_stable_decay",
    "other",
]  # fmt: skip
Sampler = Literal[
    "euler_a", "euler", "dpmpp_2m_karras", "dpmpp_2m", "dpmpp_2m_sde", "dpm2", "dpm2_a", "ddim", "plms", "unipc",
    "heun",
]  # fmt: skip
Spacing = Literal["automatic", "karras", "exponential", "sgm_uniform", "uniform"]

MOST_STEPS = 10_000_000
"""No run is longer: at ten steps a second it takes twelve days."""
MOST_EPOCHS = 100_000


class Section(BaseModel):
    """A group of settings. Unknown keys are errors; values are checked on assignment, too."""

    model_config = ConfigDict(extra="forbid", validate_assignment=True, protected_namespaces=())
