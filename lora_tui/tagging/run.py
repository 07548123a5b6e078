"""A whole tagging: which images, what each model says of them, how it is combined, and one transaction of captions.

:func:`tag_dataset` works in any process and imports no library of a model: models work apart. What was answered is kept
at once, so that a run which is stopped, killed or fails goes on where it was; captions are written when all is there.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from lora_tui.captions.corpus import Corpus
from lora_tui.captions.journal.writer import Transaction
from lora_tui.captions.operations.base import Context
from lora_tui.captions.query.predicates import TAGGER
from lora_tui.captions.transaction import Preview, Session, preview
from lora_tui.captions.view import captions_of
from lora_tui.dataset.notes import NotesBelow
from lora_tui.dataset.parts import Parts
from lora_tui.errors import UserError
from lora_tui.tagging import prompts
from lora_tui.tagging.cache import Answer, AnswerCache, keeping_failed
from lora_tui.tagging.clean import shortened
from lora_tui.tagging.combine import combine
from lora_tui.tagging.gather import Gathered, Progress, Stop, Target, gather
from lora_tui.tagging.hub import StoppedError
from lora_tui.tagging.keys import goes_in_the_clear, read_key
from lora_tui.tagging.models import Model, resolve
from lora_tui.tagging.request import Request
from lora_tui.tagging.rows import Row
from lora_tui.tagging.rules import Found, compose, select
from lora_tui.tagging.tagger import Device
from lora_tui.tagging.tuning import ScoreTable
from lora_tui.tagging.vocabulary import Vocabulary
from lora_tui.tagging.writing import Answered, WriteAnswers
from lora_tui.text import _

Warn = Callable[[UserError], None]


@dataclass
class Outcome:
    """What came of a tagging.

    Attributes:
        models: how each fared.
        wanted: images that were to be tagged.
        skipped: images that have a caption and were left alone for that.
        cropped: images of which a part was looked at, the one that a person chose for training.
        failed: images without the answer of some model, and why; their captions stay as they are.
        empty: images of which nothing was said; their captions stay, too.
        preview: what changes in captions; none when the run was stopped before.
        transaction: the change, once it is on its way to the disk; none for a preview, or when nothing changes.
        stopped: it was stopped, maybe while the captions were still read; what was answered is kept.
    """

    models: list[Gathered] = field(default_factory=list)
    wanted: int = 0
    skipped: int = 0
    cropped: int = 0
    failed: dict[int, UserError] = field(default_factory=dict)
    empty: list[int] = field(default_factory=list)
    preview: Preview | None = None
    transaction: Transaction | None = None
    stopped: bool = False


def tag_dataset(
    session: Session,
    numbers: Iterable[int],
    request: Request,
    *,
    dry_run: bool = False,
    scope: str = "",
    on_progress: Progress | None = None,
    should_stop: Stop | None = None,
    on_warning: Warn | None = None,
) -> Outcome:
    """Tag images of an open dataset.

    Args:
        numbers: of their entries.
        dry_run: leave the captions as they are; the answers are kept nevertheless.
        scope: as the person said it, for the journal.
        on_progress: told the phase (``fetching``, ``loading``, ``tagging``, ``writing``), how much is done, of how much
            (0 when that is unknown), and which model is at work.
        should_stop: asked several times a second; it may take its time to answer, for a pause.

    Raises:
        UserError: a model is not there or cannot work, a server does not answer, the dataset has vanished, or the
            journal cannot be written.
    """
    outcome = Outcome()
    if not session.corpus.complete:
        outcome.stopped = True
        return outcome
    chosen = chosen_images(session.corpus, numbers, request, outcome)
    heard = _Heard(session.corpus, request.checked(), chosen, on_progress, should_stop, on_warning)
    try:
        models = heard.all(outcome)
    except StoppedError:
        outcome.stopped = True
        return outcome
    said = {number: heard.together(number, models) for number in chosen if number not in outcome.failed}
    outcome.empty = [number for number, one in said.items() if not one]
    if on_progress is not None:
        on_progress("writing", 0, len(said), "")
    _meanwhile(session, chosen)
    outcome.preview = preview_answers(session.corpus, said, request, models, scope)
    if outcome.preview.changes and not dry_run:
        outcome.transaction = session.apply(outcome.preview, author_of(models))
        session.flush()
    if on_progress is not None:
        on_progress("writing", len(said), len(said), "")
    return outcome


def ask_models(
    corpus: Corpus,
    numbers: Iterable[int],
    request: Request,
    *,
    on_progress: Progress | None = None,
    should_stop: Stop | None = None,
    on_warning: Warn | None = None,
) -> Outcome:
    """Ask all models about images and keep what they say; captions stay as they are.

    Raises:
        UserError: as :func:`tag_dataset`.
    """
    outcome = Outcome()
    if not corpus.complete:
        outcome.stopped = True
        return outcome
    chosen = chosen_images(corpus, numbers, request, outcome)
    try:
        _Heard(corpus, request.checked(), chosen, on_progress, should_stop, on_warning).all(outcome)
    except StoppedError:
        outcome.stopped = True
    return outcome


def score_table(
    corpus: Corpus,
    numbers: Iterable[int],
    request: Request,
    *,
    on_progress: Progress | None = None,
    should_stop: Stop | None = None,
    on_warning: Warn | None = None,
) -> ScoreTable:
    """The scores of images by the first model of a request, for tuning its thresholds; asked where none are kept.

    Raises:
        UserError: as :func:`tag_dataset`; and ``tagger.no_scores`` for a model that writes sentences.
        StoppedError: ``should_stop`` said yes.
    """
    chosen = chosen_images(corpus, numbers, request, Outcome())
    model = resolve(request.models[0], request, on_progress=on_progress, should_stop=should_stop)
    if model.vocabulary is None:
        raise UserError(
            _("This model writes sentences and gives no scores."), place=model.name, code="tagger.no_scores"
        )
    rows: list[Row] = []
    heard = _Heard(corpus, request.checked(), chosen, on_progress, should_stop, on_warning)

    def take(_number: int, answer: Answer) -> None:
        if isinstance(answer, Row):
            rows.append(answer)

    heard.ask(model, take)
    return ScoreTable(model.vocabulary, rows)


def _found(row: Row, vocabulary: Vocabulary) -> list[Found]:
    """The tags of a row that holds nothing else."""
    pairs = zip(row.places, row.scores, strict=True)
    return [Found(vocabulary.names[place], score, vocabulary.categories[place], place) for place, score in pairs]


def target_of(corpus: Corpus, number: int, model: Model, request: Request, parts: Parts) -> Target:
    """An image as a model is asked about it: that part of it which the trainer will see.

    Raises:
        UserError: what is noted of it cannot be read.
    """
    entry = corpus.entries[number]
    prompt = ""
    if model.kind == "endpoint":
        prompt = prompts.filled(
            request.endpoint.prompt,
            tags=", ".join(entry.tags),
            name=PurePosixPath(entry.name).stem,
            trigger=request.trigger,
        )
    return Target(number, Path(entry.root) / entry.name, prompt, parts.of(entry.name))


def together(
    said: Sequence[Sequence[Found]],
    vocabularies: Sequence[Vocabulary],
    texts: Iterable[str],
    request: Request,
    models: Sequence[Model],
) -> Answered:
    """What is written of one image when all models have spoken.

    Args:
        said: the tags that each model with a vocabulary found.
        texts: what each of the others wrote.
    """
    found = combine(said, request.combine, vocabularies=vocabularies, votes=request.votes) if said else ()
    sentences, tags = [], list(compose(found, request.rules))
    for text in texts:
        text = shortened(text, request.prose.longest)
        if text and _is_prose(text):
            sentences.append(text)
        else:  # a server that was asked for tags
            tags += [tag for tag in map(str.strip, text.split(",")) if tag and tag not in tags]
    return Answered(tuple(map(sys.intern, tags)), tuple(dict.fromkeys(sentences)), models[0].vocabulary is None)


def author_of(models: Sequence[Model]) -> str:
    """By whom the journal says that a caption was changed."""
    return TAGGER + "+".join(dict.fromkeys(model.name for model in models))


class _Heard:
    """What the models of a request say of some images."""

    def __init__(
        self,
        corpus: Corpus,
        request: Request,
        chosen: Sequence[int],
        on_progress: Progress | None,
        should_stop: Stop | None,
        on_warning: Warn | None,
    ) -> None:
        self._corpus, self._request, self._chosen = corpus, request, chosen
        self._on_progress, self._should_stop, self._on_warning = on_progress, should_stop, on_warning
        self._parts = Parts(corpus.root)
        self._rows: list[tuple[Vocabulary, dict[int, Row]]] = []  # of what was found, small
        self._texts: list[dict[int, str]] = []

    def all(self, outcome: Outcome) -> list[Model]:
        """Ask every model; what is wrong with one shows before the first is asked.

        Raises:
            UserError, StoppedError: as :func:`tag_dataset`.
        """
        told, stop = self._on_progress, self._should_stop
        models = [resolve(choice, self._request, on_progress=told, should_stop=stop) for choice in self._request.models]
        if any(model.kind == "endpoint" for model in models):
            prompts.check(self._request.endpoint.prompt)
            self._warn_of_eavesdroppers()
        outcome.wanted = len(self._chosen)
        outcome.cropped = sum(self._parts.of(self._corpus.entries[number].name) is not None for number in self._chosen)
        for model in models:
            found = self.ask(model, self._taking(model))
            outcome.models.append(found)
            for number, error in found.failed.items():
                outcome.failed.setdefault(number, error)
        return models

    def ask(self, model: Model, take: Callable[[int, Answer], None]) -> Gathered:
        """Ask one model about all images."""
        if self._on_progress is not None:
            self._on_progress("loading", 0, len(self._chosen), model.name)
        request = self._request
        with AnswerCache() as cache:
            found = gather(
                model,
                [self._target(number, model) for number in self._chosen],
                cache,
                Device(request.device, request.batch, request.threads),
                take,
                root=self._corpus.root,
                again=request.again,
                on_progress=self._on_progress,
                should_stop=self._should_stop,
            )
            if cache.problem:
                self._warn(UserError(keeping_failed(cache.problem), code="tagger.cache"))
        return found

    def together(self, number: int, models: Sequence[Model]) -> Answered:
        """What all models say of an image to which all have an answer."""
        said = [_found(rows[number], vocabulary) for vocabulary, rows in self._rows if number in rows]
        texts = [texts.get(number, "") for texts in self._texts]
        return together(said, [vocabulary for vocabulary, _rows in self._rows], texts, self._request, models)

    def _taking(self, model: Model) -> Callable[[int, Answer], None]:
        """What keeps the answers of a model until all have spoken."""
        rules, vocabulary = self._request.rules, model.vocabulary
        if vocabulary is None:
            texts: dict[int, str] = {}
            self._texts.append(texts)
            return lambda number, answer: texts.update({number: str(answer)})
        rows: dict[int, Row] = {}
        self._rows.append((vocabulary, rows))

        def take(number: int, answer: Answer) -> None:
            if isinstance(answer, Row):
                found = select(answer, vocabulary, rules, model.thresholds)
                rows[number] = Row(array("I", [one.place for one in found]), array("f", [one.score for one in found]))

        return take

    def _target(self, number: int, model: Model) -> Target:
        return target_of(self._corpus, number, model, self._request, self._parts)

    def _warn_of_eavesdroppers(self) -> None:
        endpoint = self._request.endpoint
        if goes_in_the_clear(endpoint.url) and read_key(endpoint):
            message = _(
                "The key and the pictures go to the server without encryption: its address begins with http://."
            )
            self._warn(UserError(message, code="tagger.clear"))

    def _warn(self, error: UserError) -> None:
        if self._on_warning is not None:
            self._on_warning(error)


def images_in_use(corpus: Corpus) -> list[int]:
    """All images but those that a person has left out: what is tagged where nobody chooses.

    Raises:
        UserError: what is noted of the images cannot be read.
    """
    notes = NotesBelow(corpus.root)
    return [number for number, entry in enumerate(corpus.entries) if not notes.excluded(entry.name)]


def chosen_images(corpus: Corpus, numbers: Iterable[int], request: Request, outcome: Outcome) -> list[int]:
    """The images to be tagged: one for each caption file, and none whose caption is to be left alone."""
    chosen, seen = [], set()
    for number in numbers:
        entry = corpus.entries[number]
        if entry.caption_name in seen:
            continue
        seen.add(entry.caption_name)
        has_caption = entry.document is not None and bool(captions_of(entry.document.text, corpus.profile))
        if request.existing == "skip" and has_caption:
            outcome.skipped += 1
        elif entry.problem is not None:
            outcome.failed[number] = entry.problem
        else:
            chosen.append(number)
    return chosen


def _is_prose(text: str) -> bool:
    """Whether an answer is sentences and not a list of tags: it ends as one, or has a part of many words."""
    return text[-1:] in ".!?。！？" or max(part.count(" ") for part in text.split(",")) >= 5


def _meanwhile(session: Session, chosen: Sequence[int]) -> None:
    """See what others did to these captions while the models were at work."""
    session.follow()
    session.corpus.refresh(chosen)


def preview_answers(
    corpus: Corpus, said: Mapping[int, Answered], request: Request, models: Sequence[Model], scope: str
) -> Preview:
    """What answers change in captions, as one operation.

    Args:
        said: of each image by the number of its entry.
    """
    answers = {corpus.entries[number].name: answered for number, answered in said.items()}
    names = " ".join(model.name for model in models)
    how = f" {request.combine}" if len(models) > 1 else ""
    return preview(
        corpus,
        [number for number, answered in said.items() if answered],
        WriteAnswers(answers, request.existing, request.trigger),
        context=Context(profile=corpus.profile, count=corpus.index.count),
        operation_text=f"tag {names}{how} {request.existing}",
        scope_text=scope,
    )
