"""Tagging as a task in the background, see :mod:`lora_tui.tasks`.

Its options: ``dataset`` (a folder), ``request`` (:meth:`~lora_tui.tagging.request.Request.as_options`), and if wanted
``images`` (names as the corpus has them; else all that are not left out), ``scope`` (how they were chosen, for the
journal), ``profile`` and ``extensions`` as for every command on captions. With ``only_ask`` the answers are kept and no
caption is written, so that thresholds can be tuned on them; ``more`` then names further datasets, each with ``dataset``
and ``images``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from lora_tui.captions.corpus import Corpus
from lora_tui.captions.profile import profile_named
from lora_tui.captions.transaction import Session
from lora_tui.errors import UserError
from lora_tui.tagging.request import Request, of_options
from lora_tui.tagging.run import Outcome, ask_models, images_in_use, tag_dataset
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
    if options.get("only_ask"):
        return _ask(options, request, report)
    corpus = _opened(options, options, report)
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
    _tell_failed(outcome, corpus, report)
    lost = _lost(outcome, report)
    made = outcome.transaction.record if outcome.transaction is not None else None
    result = summary(outcome, corpus) | {"transaction": made.number if made is not None else None}
    return result | {
        "failed": len(outcome.failed),
        "empty": len(outcome.empty),
        "complete": not (outcome.stopped or lost),
    }


def _ask(options: Mapping[str, Any], request: Request, report: Report) -> dict[str, Any]:
    """Only fill the store of answers, dataset after dataset."""
    more = options.get("more")
    parts = [options, *(one for one in (more if isinstance(more, list) else []) if isinstance(one, Mapping))]
    result = {"asked": 0, "failed": 0, "complete": True}
    for part in parts:
        corpus, heard = _opened(options, part, report), [0]

        def progress(phase: str, done: int, total: int, detail: str, heard: list[int] = heard) -> None:
            heard[0] = done if phase == "tagging" else heard[0]
            report.progress(phase, done, total, detail)

        outcome = ask_models(
            corpus,
            _numbers(corpus, part.get("images")),
            request,
            on_progress=progress,
            should_stop=report.should_stop,
            on_warning=report.warn,
        )
        _tell_failed(outcome, corpus, report)
        result["asked"] += max([heard[0] - len(outcome.failed), *(one.answered for one in outcome.models)])
        result["failed"] += len(outcome.failed)
        if outcome.stopped:
            return result | {"complete": False}
    return result


def _opened(options: Mapping[str, Any], part: Mapping[str, Any], report: Report) -> Corpus:
    return Corpus.open(
        Path(str(part.get("dataset", ""))),
        profile=profile_named(str(options.get("profile", "ours"))),
        extensions=options.get("extensions") or None,
        on_progress=lambda done: report.progress("reading", done, 0),
        should_stop=report.should_stop,
    )


def _tell_failed(outcome: Outcome, corpus: Corpus, report: Report) -> None:
    for number, error in sorted(outcome.failed.items()):
        report.warn(
            UserError(error.message, place=plain(corpus.entries[number].name), remedy=error.remedy, code=error.code)
        )


def _mapping(options: Mapping[str, Any]) -> Mapping[str, Any]:
    request = options.get("request")
    if not isinstance(request, Mapping):
        raise UserError(_("The task does not say what is asked for."), place="request", code="tagger.request")
    return request


def _numbers(corpus: Corpus, names: Any) -> list[int]:
    """The numbers of the images named that are still there."""
    if names is None:
        return images_in_use(corpus)
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
