"""What is said of grids in several places."""

from __future__ import annotations

from lora_tui.text import N_

STATES = {"drawn": N_("drawn"), "failed": N_("failed"), "waiting": N_("not drawn")}
"""A cell's state as a person reads it."""
