"""Auto-taggers: what models say of images, kept, turned into captions by rules, and written through the journal.

:func:`tag_dataset` does it all for a :class:`Request`; :func:`score_table` gives what a slider of thresholds needs. The
models themselves work in a process of their own.
"""

from lora_tui.tagging.request import Endpoint, ModelChoice, Prose, Request, choice, of_options
from lora_tui.tagging.rules import Rules, Thresholds
from lora_tui.tagging.run import Outcome, score_table, tag_dataset
from lora_tui.tagging.summary import summary
from lora_tui.tagging.tuning import ScoreTable

__all__ = [
    "Endpoint",
    "ModelChoice",
    "Outcome",
    "Prose",
    "Request",
    "Rules",
    "ScoreTable",
    "Thresholds",
    "choice",
    "of_options",
    "score_table",
    "summary",
    "tag_dataset",
]
