"""Caption files: their bytes and text, where they lie, and what the trainer sees of them."""

from lora_tui.captions.as_trained import CaptionRules, caption_for, caption_text, possible_captions, rules_for
from lora_tui.captions.document import CaptionDocument, problem_text
from lora_tui.captions.files import find_sidecar, read_caption

__all__ = [
    "CaptionDocument",
    "CaptionRules",
    "caption_for",
    "caption_text",
    "find_sidecar",
    "possible_captions",
    "problem_text",
    "read_caption",
    "rules_for",
]
