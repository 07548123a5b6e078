"""Samplers. One function a sampler, listed in :data:`SAMPLERS`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from lora_tui.choices import part_at


@dataclass(frozen=True)
class Course:
    """What a sampler is made for.

    Attributes:
        schedule: the model's noise schedule in diffusers' words.
        prediction: what the model predicts, see :class:`lora_tui.families.protocol.Model`.
        steps: denoising steps that were asked for.
        shift: of flow matching's noise levels, see the same.
        generator: where noise comes from that a sampler adds on its way.
        spacing: of the noise levels, see :data:`lora_tui.config.samplers.SPACINGS`; automatic is the sampler's own.
    """

    schedule: Mapping[str, Any]
    prediction: str
    steps: int
    shift: float
    generator: torch.Generator
    device: torch.device
    spacing: str = "automatic"


class Sampler(Protocol):
    """One way from noise to latents. Use it once, from the first of its timesteps to the last."""

    timesteps: Tensor  # as the model takes them, on the device; some samplers take more than were asked for

    def begin(self, noise: Tensor) -> Tensor:
        """The latents to begin with, from standard normal ``noise``."""
        ...

    def model_input(self, latents: Tensor, timestep: Tensor) -> Tensor:
        """What the model is shown of ``latents``."""
        ...

    def step(self, predicted: Tensor, timestep: Tensor, latents: Tensor) -> Tensor:
        """The latents after one step."""
        ...


@dataclass(frozen=True)
class Entry:
    """``place``: a function from course to sampler.

    ``flow`` is that function for models that learned flow matching. DDIM's steps are Euler's on straight lines;
    what diffusers has not for them is the nearest of its kind.
    """

    place: str
    flow: str


_DISCRETE, _FLOW = "lora_tui.sampling.discrete", "lora_tui.sampling.flow"
#: the name in the schema -> its entry; :data:`lora_tui.config.samplers.A1111` has the names that users of A1111 know
SAMPLERS = {
    "euler_a": Entry(f"{_DISCRETE}:euler_a", f"{_FLOW}:euler_a"),
    "euler": Entry(f"{_DISCRETE}:euler", f"{_FLOW}:euler"),
    "heun": Entry(f"{_DISCRETE}:heun", f"{_FLOW}:heun"),
    "dpmpp_2m": Entry(f"{_DISCRETE}:dpmpp_2m", f"{_FLOW}:dpmpp_2m"),
    "dpmpp_2m_karras": Entry(f"{_DISCRETE}:dpmpp_2m_karras", f"{_FLOW}:dpmpp_2m"),
    "dpmpp_2m_sde": Entry(f"{_DISCRETE}:dpmpp_2m_sde", f"{_FLOW}:dpmpp_2m"),
    "dpm2": Entry(f"{_DISCRETE}:dpm2", f"{_FLOW}:heun"),
    "dpm2_a": Entry(f"{_DISCRETE}:dpm2_a", f"{_FLOW}:euler_a"),
    "ddim": Entry(f"{_DISCRETE}:ddim", f"{_FLOW}:euler"),
    "plms": Entry(f"{_DISCRETE}:plms", f"{_FLOW}:euler"),
    "unipc": Entry(f"{_DISCRETE}:unipc", f"{_FLOW}:unipc"),
}


def make_sampler(name: str, course: Course) -> Sampler:
    """The sampler called ``name`` for ``course``.

    Raises:
        KeyError: there is no sampler of this name.
    """
    entry = SAMPLERS[name]
    found: Sampler = part_at(entry.flow if course.prediction == "flow" else entry.place, name)(course)
    return found
