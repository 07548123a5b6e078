"""The samplers by the names that people write: A1111's, sd-scripts' and the schema's. Knows no torch."""

from __future__ import annotations

import re
from typing import get_args

from lora_tui.config.prompt_lines import SAMPLERS as OTHERS
from lora_tui.config.schema import FLOW, Sampler, Spacing
from lora_tui.errors import UserError
from lora_tui.text import _, plain

A1111 = {
    "euler_a": "Euler a",
    "euler": "Euler",
    "heun": "Heun",
    "dpmpp_2m": "DPM++ 2M",
    "dpmpp_2m_karras": "DPM++ 2M Karras",
    "dpmpp_2m_sde": "DPM++ 2M SDE",
    "dpm2": "DPM2",
    "dpm2_a": "DPM2 a",
    "ddim": "DDIM",
    "plms": "PLMS",
    "unipc": "UniPC",
}
"""The schema's name -> the one that A1111 and readers of its PNGs know."""
assert set(A1111) == set(get_args(Sampler))

AUTOMATIC = "automatic"
SPACINGS = {
    "automatic": "Automatic",
    "karras": "Karras",
    "exponential": "Exponential",
    "sgm_uniform": "SGM Uniform",
    "uniform": "Uniform",
}
"""The schema's name of a spacing of noise levels -> A1111's of its schedule type."""
assert set(SPACINGS) == set(get_args(Spacing))
_ANY_LEVELS = ("euler", "heun", "dpmpp_2m", "dpmpp_2m_sde", "dpm2", "dpm2_a", "unipc")
"""Samplers that diffusers lets take any noise levels, not only those of whole timesteps."""
_NOT_FLOW = ("ddim", "dpmpp_2m_karras", "dpmpp_2m_sde", "dpm2", "dpm2_a", "plms")
"""Samplers that are another one where a model learned flow matching."""


def sampler_called(name: str) -> str:
    """The schema's name of the sampler that a person calls ``name``.

    Raises:
        UserError: there is none (``grid.sampler``).
    """
    asked = _bare(name)
    for own, a1111 in A1111.items():
        if asked in (_bare(own), _bare(a1111)):
            return own
    for other, own in OTHERS.items():
        if asked == _bare(other):
            return own
    raise UserError(
        _("there is no sampler {name}.").format(name=plain(name, limit=60)),
        remedy=_("Use one of: {names}.").format(names=", ".join(A1111.values())),
        code="grid.sampler",
    )


def samplers_of(family: str) -> tuple[str, ...]:
    """The samplers that differ from each other in a family."""
    return tuple(name for name in A1111 if family not in FLOW or name not in _NOT_FLOW)


def spacings_of(sampler: str, family: str) -> tuple[str, ...]:
    """The spacings that a sampler takes in a family."""
    if family in FLOW:
        return ("automatic", "karras", "exponential", "sgm_uniform")
    if sampler == "dpmpp_2m_karras":
        return ("automatic", "karras")
    if sampler == "plms":
        return ("automatic",)
    return tuple(name for name in SPACINGS if sampler in _ANY_LEVELS or name not in ("karras", "exponential"))


def spacing_called(name: str) -> str:
    """The schema's name of the spacing that a person calls ``name``.

    Raises:
        UserError: there is none (``grid.schedule``).
    """
    asked = _bare(name)
    for own, a1111 in SPACINGS.items():
        if asked in (_bare(own), _bare(a1111)):
            return own
    raise UserError(
        _("there is no schedule type {name}.").format(name=plain(name, limit=60)),
        remedy=_("Use one of: {names}.").format(names=", ".join(SPACINGS.values())),
        code="grid.schedule",
    )


def check_spacing(sampler: str, spacing: str, family: str) -> None:
    """Refuse a spacing that a sampler does not take in a family.

    Raises:
        UserError: ``grid.schedule``.
    """
    known = spacings_of(sampler, family)
    if spacing not in known:
        raise UserError(
            _("{sampler} does not take the schedule type {name} here.").format(
                sampler=A1111.get(sampler, sampler), name=SPACINGS.get(spacing, spacing)
            ),
            remedy=_("Use one of: {names}.").format(names=", ".join(SPACINGS[one] for one in known)),
            code="grid.schedule",
        )


def _bare(name: str) -> str:
    return re.sub(r"[\s_\-]+", "", name.casefold()).replace("++", "pp")
