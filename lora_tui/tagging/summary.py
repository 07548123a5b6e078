"""What came of a tagging as plain data, for JSON and for a task in the background."""

from __future__ import annotations

from collections import Counter
from typing import Any

from lora_tui.captions.corpus import Corpus
from lora_tui.captions.view import tags_of
from lora_tui.tagging.run import Outcome


def summary(outcome: Outcome, corpus: Corpus, *, most_tags: int = 50) -> dict[str, Any]:
    """The counts, the models, and the images that have no answer; names as the corpus has them.

    Args:
        most_tags: of the tags that come, the most frequent.
    """
    seen, names = outcome.preview, [entry.name for entry in corpus.entries]
    return {
        "models": [
            {
                "name": one.name,
                "answered": one.answered,
                "kept": one.kept,
                "failed": len(one.failed),
                "device": one.told,
            }
            for one in outcome.models
        ],
        "wanted": outcome.wanted,
        "skipped": outcome.skipped,
        "cropped": outcome.cropped,
        "images": seen.images if seen is not None else 0,
        "occurrences": seen.occurrences if seen is not None else 0,
        "empty": [names[number] for number in outcome.empty],
        "failed": [{"image": names[number]} | error.as_dict() for number, error in sorted(outcome.failed.items())],
        "tags": dict(new_tags(outcome, corpus).most_common(most_tags)),
        "stopped": outcome.stopped,
    }


def new_tags(outcome: Outcome, corpus: Corpus) -> Counter[str]:
    """For each tag the number of captions in which it is new."""
    found: Counter[str] = Counter()
    for change in outcome.preview.changes if outcome.preview is not None else ():
        if change.document is not None:
            found.update(set(tags_of(change.document.text, corpus.profile)) - set(change.tags))
    return found
