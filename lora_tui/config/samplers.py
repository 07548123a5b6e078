"""The samplers by the names that people write: A1111's, sd-scripts' and the schema's. Knows no torch."""

from __future__ import annotations

import re
from typing import get_args

from lora_tui.config.prompt_lines import SAMPLERS as OTHERS
from lora_tui.config.schema import Sampler
from lora_tui.errors import UserError
from lora_tui.text import _, plain

A1111 = {
    "euler_a": "Euler a",
    "euler": "Euler",
    "heun": "Heun",
    "dpmpp_2m": "DPM++ 2M",
    "dpmpp_2m_karras": "DPM++ 2M Karras",
    "ddim": "DDIM",
    "unipc": "UniPC",
}
"""The schema's name -> the one that A1111 and readers of its PNGs know."""
assert set(A1111) == set(get_args(Sampler))


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


def _bare(name: str) -> str:
    return re.sub(r"[\s_\-]+", "", name.casefold()).replace("++", "pp")
