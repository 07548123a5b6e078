"""The filter language: ``parse_query(text).select(corpus, context)``. Knows captions by a protocol, and no images."""

from lora_tui.captions.query.corpus import CorpusLike, DocumentLike, EntryLike
from lora_tui.captions.query.facts import Context, Facts, History, ImageFacts, Scores
from lora_tui.captions.query.lexer import QueryError
from lora_tui.captions.query.query import Hint, Query, parse_query
from lora_tui.captions.query.saved import SavedFilter, check_filter_name, forget_filter, load_filters, save_filter

__all__ = [
    "Context",
    "CorpusLike",
    "DocumentLike",
    "EntryLike",
    "Facts",
    "Hint",
    "History",
    "ImageFacts",
    "Query",
    "QueryError",
    "SavedFilter",
    "Scores",
    "check_filter_name",
    "forget_filter",
    "load_filters",
    "parse_query",
    "save_filter",
]
