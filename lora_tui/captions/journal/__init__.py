"""The journal of a dataset's captions: on disk first, then the files; undo, recovery and blame read it."""

from lora_tui.captions.journal.bodies import FileChange
from lora_tui.captions.journal.log import HOME, Journal, home_of, journal_home_of
from lora_tui.captions.journal.records import Record
from lora_tui.captions.journal.recovery import Recovery, recover
from lora_tui.captions.journal.stack import REVIEWS

__all__ = ["HOME", "REVIEWS", "FileChange", "Journal", "Record", "Recovery", "home_of", "journal_home_of", "recover"]
