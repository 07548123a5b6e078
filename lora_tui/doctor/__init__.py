"""A look at this machine: what is there, what is missing, and what to do about each. Imports no torch."""

from lora_tui.doctor.check import ERROR, NOTE, OK, WARNING, Check
from lora_tui.doctor.examine import examine

__all__ = ["ERROR", "NOTE", "OK", "WARNING", "Check", "examine"]
