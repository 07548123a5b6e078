"""What a person reads: translations, number formats, and the cleaning of outside text."""

from lora_tui.text.formats import bytes_text, clock, count, duration, number, percent, rate_text, setting_number
from lora_tui.text.plain import plain
from lora_tui.text.translate import N_, _, language, ngettext, set_language

__all__ = [
    "N_",
    "_",
    "bytes_text",
    "clock",
    "count",
    "duration",
    "language",
    "ngettext",
    "number",
    "percent",
    "plain",
    "rate_text",
    "set_language",
    "setting_number",
]
