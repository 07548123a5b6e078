"""What a base model of Stable Diffusion 2.x must be, from files and headers alone. Knows no torch."""

from __future__ import annotations

from functools import partial

from lora_tui.families.sd2.facts import FACTS
from lora_tui.families.unet import checks

check_model = partial(checks.check_model, FACTS)
check_vae = partial(checks.check_vae, FACTS)
told_prediction = checks.told_prediction
