"""Samplers by the names that users of A1111 know, as diffusers schedulers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import diffusers

#: name -> (diffusers class, settings over the base model's noise schedule)
SAMPLERS: Mapping[str, tuple[str, dict[str, Any]]] = {
    "euler_a": ("EulerAncestralDiscreteScheduler", {"timestep_spacing": "linspace"}),
    "euler": ("EulerDiscreteScheduler", {"timestep_spacing": "linspace"}),
    "heun": ("HeunDiscreteScheduler", {"timestep_spacing": "linspace"}),
    "dpmpp_2m": ("DPMSolverMultistepScheduler", {"algorithm_type": "dpmsolver++", "solver_order": 2}),
    "dpmpp_2m_karras": (
        "DPMSolverMultistepScheduler",
        {"algorithm_type": "dpmsolver++", "solver_order": 2, "use_karras_sigmas": True},
    ),
    "ddim": ("DDIMScheduler", {"clip_sample": False, "set_alpha_to_one": False, "steps_offset": 1}),
    "unipc": ("UniPCMultistepScheduler", {}),
}
#: The names under which A1111 and those who read its PNGs know them.
A1111_NAMES: Mapping[str, str] = {
    "euler_a": "Euler a",
    "euler": "Euler",
    "heun": "Heun",
    "dpmpp_2m": "DPM++ 2M",
    "dpmpp_2m_karras": "DPM++ 2M Karras",
    "ddim": "DDIM",
    "unipc": "UniPC",
}
_SCHEDULE_KEYS = ("beta_start", "beta_end", "beta_schedule", "num_train_timesteps", "prediction_type")


def make_sampler(name: str, schedule: Mapping[str, Any]) -> Any:
    """The scheduler called ``name`` over the noise schedule of the base model.

    Raises:
        KeyError: there is no sampler of this name.
    """
    class_name, settings = SAMPLERS[name]
    kept = {key: schedule[key] for key in _SCHEDULE_KEYS if key in schedule}
    return getattr(diffusers, class_name)(**kept, **settings)
