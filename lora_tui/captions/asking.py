"""Everything that a filter may ask of an open corpus, put together in one place."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Set

from lora_tui.captions.corpus import Corpus
from lora_tui.captions.query.corpus import EntryLike
from lora_tui.captions.query.facts import Context, Facts, History, Scores
from lora_tui.captions.query.saved import SavedFilter
from lora_tui.captions.view import view


def context_for(
    corpus: Corpus,
    *,
    trigger: str = "",
    facts: Facts | None = None,
    history: History | None = None,
    scores: Scores | None = None,
    tokens: Callable[[str], int] | None = None,
    category: Callable[[str], str] | None = None,
    lint: Callable[[int], Collection[str]] | None = None,
    sets: Mapping[str, Set[int]] | None = None,
    saved: Mapping[str, SavedFilter] | None = None,
) -> Context:
    """What filters of ``corpus`` may ask: its profile's zones, whether a caption is prose, and what is given."""
    profile = corpus.profile

    def keep(entry: EntryLike) -> int:
        text = "" if entry.document is None else entry.document.text
        marks = profile.keep_separator, profile.secondary_separator
        if not any(mark and mark in text for mark in marks):
            return profile.keep_tokens
        return sum(1 for item in view(text, profile).items if item.zone == "keep")

    def prose(entry: EntryLike) -> bool:
        return entry.document is not None and view(entry.document.text, profile).is_prose

    return Context(
        keep_tokens=profile.keep_tokens,
        keep=keep,
        trigger=trigger,
        facts=facts,
        history=history,
        scores=scores,
        tokens=tokens,
        category=category,
        lint=lint,
        prose=prose,
        sets=sets or {},
        saved=saved or {},
    )
