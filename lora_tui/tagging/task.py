"""Tagging as a task in the background, see :mod:`lora_tui.tasks`.

Its options: ``dataset`` (a folder), ``request`` (:meth:`~lora_tui.tagging.request.Request.as_options`), and if wanted
``images`` (names as the corpus has them; else all), ``scope`` (how they were chosen, for the journal), ``profile`` and
``extensions`` as for every command on captions.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from lora_tui.captions.corpus import Corpus
from lora_tui.captions.profile import profile_named
from lora_tui.captions.transaction import Session
from lora_tui.errors import UserError
from lora_tui.tagging.request import of_options
from lora_tui.tagging.run import Outcome, tag_dataset
from lora_tui.tagging.summary import summary
from lora_tui.text import _, plain


class Report(Protocol):
    """What :class:`lora_tui.tasks.report.Report` offers."""

    def progress(self, phase: str, done: int, total: int, detail: str = "") -> None: ...
    def warn(self, error: UserError) -> None: ...
    def should_stop(self) -> bool: ...


def work(options: Mapping[str, Any], report: Report) -> dict[str, Any]:
    """Do what was asked for; what came of it, with ``complete`` false when it was stopped or left something undone.

    Raises:
        UserError: the options are none, the dataset is not there, or as :func:`~lora_tui.tagging.run.tag_dataset`.
    """
    request = of_options(_mapping(options))
    corpus = Corpus.open(
        Path(str(options.get("dataset", ""))),
        profile=profile_named(str(options.get("profile", "ours"))),
        extensions=options.get("extensions") or None,
        on_progress=lambda done: report.progress("reading", done, 0),
        should_stop=report.should_stop,
    )
    session = Session(corpus)
    try:
        outcome = tag_dataset(
            session,
            _numbers(corpus, options.get("images")),
            request,
            scope=str(options.get("scope", "")),
            on_progress=report.progress,
            should_stop=report.should_stop,
            on_warning=report.warn,
        )
    finally:
        session.close()
    for number, error in sorted(outcome.failed.items()):
        report.warn(
            UserError(error.message, place=plain(corpus.entries[number].name), remedy=error.remedy, code=error.code)
        )
    lost = _lost(outcome, report)
    made = outcome.transaction.record if outcome.transaction is not None else None
    result = summary(outcome, corpus) | {"transaction": made.number if made is not None else None}
    return result | {
        "failed": len(outcome.failed),
        "empty": len(outcome.empty),
        "complete": not (outcome.stopped or lost),
    }


def _mapping(options: Mapping[str, Any]) -> Mapping[str, Any]:
    request = options.get("request")
    if not isinstance(request, Mapping):
        raise UserError(_("The task does not say what is asked for."), place="request", code="tagger.request")
    return request


def _numbers(corpus: Corpus, names: Any) -> list[int]:
    """The numbers of the images named that are still there."""
    if names is None:
        return list(range(len(corpus.entries)))
    found = (corpus.number_of(str(name)) for name in names)
    return [number for number in found if number is not None]


def _lost(outcome: Outcome, report: Report) -> bool:
    """Whether captions could not be written; each is told.

    Raises:
        UserError: none could.
    """
    transaction = outcome.transaction
    if transaction is None:
        return False
    if transaction.error is not None:
        raise transaction.error
    for name in transaction.conflicts:
        message = _("another program changed it meanwhile; it was left as it is.")
        report.warn(UserError(message, place=plain(name), code="captions.conflict"))
    for name, reason in transaction.failures.items():
        message = _("it cannot be written: {reason}.").format(reason=reason)
        report.warn(UserError(message, place=plain(name), code="captions.write"))
    return bool(transaction.lost)
