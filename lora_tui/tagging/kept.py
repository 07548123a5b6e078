"""What models said of images, from the store alone: no model is loaded, no picture is decoded.

:class:`Kept` holds the answers of all models of a request to some images of one or several datasets, and says what
would be written of each under whatever rules. Images that lack the answer of a model are counted and left alone.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import compress
from operator import neg, sub

from lora_tui.captions.corpus import Corpus
from lora_tui.captions.operations.base import Context, changed_document
from lora_tui.captions.transaction import Preview
from lora_tui.dataset.parts import Parts
from lora_tui.errors import UserError
from lora_tui.tagging.cache import AnswerCache, digest_of_parts, key_of
from lora_tui.tagging.hub import StoppedError
from lora_tui.tagging.models import Model, resolve
from lora_tui.tagging.request import Request
from lora_tui.tagging.rows import Row
from lora_tui.tagging.rules import MCUT_LEAST, Thresholds, select
from lora_tui.tagging.run import Outcome, chosen_images, preview_answers, target_of, together
from lora_tui.tagging.tuning import LEAST
from lora_tui.tagging.vocabulary import CHARACTER, GENERAL, Vocabulary
from lora_tui.tagging.writing import Answered, WriteAnswers
from lora_tui.text import _

TOLD_EVERY = 100
"""Images between two words about how far the reading is."""


@dataclass(frozen=True)
class KeptImage:
    """One image: the dataset it belongs to, and the number of its entry there."""

    part: int
    number: int


@dataclass
class Said:
    """What one model said of the images, by their place.

    Attributes:
        rows: scores from :data:`~lora_tui.tagging.tuning.LEAST` on, or from the least that the request asks for; none
            of models that write sentences.
        cuts: what MCut found in the whole row.
        texts: sentences.
    """

    model: Model
    rows: list[Row] = field(default_factory=list)
    cuts: list[Mapping[str, float]] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)


@dataclass
class Kept:
    """Answers to images.

    Attributes:
        request: as it was asked; other rules are given to the methods.
        corpora: the datasets.
        images: those to which every model has an answer, in the order in which they were chosen.
        lacking: how many lack one.
        skipped: images that were left alone for their caption, or that cannot be tagged.
        said: of each model, in the order of ``images``.
    """

    request: Request
    corpora: tuple[Corpus, ...]
    images: list[KeptImage] = field(default_factory=list)
    lacking: int = 0
    skipped: int = 0
    said: list[Said] = field(default_factory=list)

    @property
    def models(self) -> list[Model]:
        return [one.model for one in self.said]

    @property
    def scored(self) -> list[Said]:
        """The models that give scores."""
        return [one for one in self.said if one.model.vocabulary is not None]

    @property
    def vocabularies(self) -> list[Vocabulary]:
        """Theirs."""
        return [one.model.vocabulary for one in self.said if one.model.vocabulary is not None]

    def tags_before(self, place: int) -> tuple[str, ...]:
        """The tags of the caption that an image has."""
        image = self.images[place]
        return self.corpora[image.part].entries[image.number].tags

    def has_text(self, place: int) -> bool:
        """Whether some model wrote sentences about an image."""
        return any(one.texts[place] for one in self.said if one.texts)

    def answered(self, place: int, request: Request) -> Answered:
        """What would be written of an image under the rules of a request for the same models."""
        found = []
        for one in self.scored:
            assert one.model.vocabulary is not None
            limits = thresholds_of(request, self.said.index(one))
            found.append(select(one.rows[place], one.model.vocabulary, request.rules, limits, one.cuts[place]))
        texts = [one.texts[place] for one in self.said if one.texts]
        return together(found, self.vocabularies, texts, request, self.models)

    def before_and_after(self, place: int, request: Request) -> tuple[str | None, str | None]:
        """The caption of an image as it is, and as it would be; none where there is no file."""
        image = self.images[place]
        corpus = self.corpora[image.part]
        entry = corpus.entries[image.number]
        answered = self.answered(place, request)
        operation = WriteAnswers({entry.name: answered}, request.existing, request.trigger)
        before = entry.document
        context = Context(profile=corpus.profile, name=entry.name, count=corpus.index.count)
        after = changed_document(operation, before, context) if answered else before
        return (None if before is None else before.text), (None if after is None else after.text)

    def previews(
        self,
        request: Request,
        *,
        without: frozenset[int] = frozenset(),
        scope: str = "",
        should_stop: Callable[[], bool] = lambda: False,
    ) -> list[Preview]:
        """What would be written, for each dataset one edit; those that change nothing are left out.

        Args:
            without: places of images whose captions stay as they are.

        Raises:
            StoppedError: ``should_stop`` said yes.
        """
        found: list[dict[int, Answered]] = [{} for _corpus in self.corpora]
        for place, image in enumerate(self.images):
            if place % TOLD_EVERY == 0 and should_stop():
                raise StoppedError
            if place not in without:
                found[image.part][image.number] = self.answered(place, request)
        previews = (
            preview_answers(corpus, said, request, self.models, scope)
            for corpus, said in zip(self.corpora, found, strict=True)
        )
        return [one for one in previews if one.changes]


def thresholds_of(request: Request, model: int) -> Thresholds | None:
    """The thresholds of a model's own, by its number in the request; none where those of the rules hold."""
    own = request.models[model].threshold
    if own is None:
        return None
    rules = request.rules.thresholds
    return Thresholds(own, rules.character, own, rules.rating)


def load_kept(
    parts: Sequence[tuple[Corpus, Sequence[int]]],
    request: Request,
    *,
    on_progress: Callable[[int, int], None] | None = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Kept:
    """Read from the store what the models of a request said of images.

    Args:
        parts: datasets with the numbers of their entries.
        on_progress: told how many images of how many were looked for.

    Raises:
        UserError: a model is not there; ``tagger.elsewhere`` where it is not fetched yet.
        StoppedError: ``should_stop`` said yes.
    """
    request = request.checked()
    models = [resolve(one, request, here=True) for one in request.models]
    kept = Kept(request, tuple(corpus for corpus, _numbers in parts), said=[Said(model) for model in models])
    least = min(LEAST, *(limit for number in range(len(models)) for limit in _limits(request, number)))
    masks = [_masks(model.vocabulary) if model.vocabulary is not None else {} for model in models]
    chosen: list[tuple[int, int]] = []
    for part, (corpus, numbers) in enumerate(parts):
        outcome = Outcome()
        chosen += [(part, number) for number in chosen_images(corpus, numbers, request, outcome)]
        kept.skipped += outcome.skipped + len(outcome.failed)
    trained = [Parts(corpus.root) for corpus, _numbers in parts]
    with AnswerCache() as cache:
        if cache.problem:
            raise UserError(
                _("The answers of the models cannot be read: {reason}.").format(reason=cache.problem),
                code="tagger.cache",
            )
        known = [cache.model(model.identity(cache), model.name, model.vocabulary) for model in models]
        for done, (part, number) in enumerate(chosen):
            if done % TOLD_EVERY == 0:
                if should_stop():
                    raise StoppedError
                if on_progress is not None:
                    on_progress(done, len(chosen))
            answers = []
            for model, kept_as in zip(models, known, strict=True):
                target = target_of(parts[part][0], number, model, request, trained[part])
                digest = cache.digest(target.path)
                asked = digest_of_parts((target.prompt,)) if target.prompt else b""
                answers.append(None if digest is None else cache.get(kept_as, key_of(digest, target.part), asked))
            if any(answer is None or answer == "" for answer in answers):
                kept.lacking += 1
                continue
            kept.images.append(KeptImage(part, number))
            for said, mask, answer in zip(kept.said, masks, answers, strict=True):
                _take(said, mask, answer, least)
    return kept


def _limits(request: Request, model: int) -> tuple[float, ...]:
    """The thresholds of a model, but that of the rating, of which only the likeliest counts."""
    own = thresholds_of(request, model) or request.rules.thresholds
    return own.general, own.character, *(() if own.other is None else (own.other,))


def _take(said: Said, masks: Mapping[str, bytes], answer: Row | str | None, least: float) -> None:
    if not isinstance(answer, Row):
        said.texts.append(str(answer))
        return
    end = bisect_left(answer.scores, -least, key=neg)
    said.cuts.append({category: _cut(answer, mask, end) for category, mask in masks.items()})
    said.rows.append(Row(answer.places[:end], answer.scores[:end]))


def _masks(vocabulary: Vocabulary) -> dict[str, bytes]:
    """For the categories that MCut cuts, which places of the vocabulary are of it."""
    return {category: bytes(one == category for one in vocabulary.categories) for category in (GENERAL, CHARACTER)}


def _cut(row: Row, mask: bytes, end: int) -> float:
    """As :func:`~lora_tui.tagging.rules.mcut` for one category, but ten thousand rows in a second.

    Args:
        end: where the scores below :data:`LEAST` or less begin. A gap among those is no greater than that, so it is
            only looked for where none above is.
    """
    above = [*compress(row.scores[:end], map(mask.__getitem__, row.places[:end]))]
    below = (score for place, score in zip(row.places[end:], row.scores[end:], strict=True) if mask[place])
    scores = [*above, next(below, 0.0)]
    gaps = list(map(sub, scores, scores[1:]))
    if not gaps or max(gaps) < LEAST:
        scores += [*below, 0.0]
        gaps = list(map(sub, scores, scores[1:]))
    place = gaps.index(max(gaps))
    return max((scores[place] + scores[place + 1]) / 2, MCUT_LEAST)


def split_row(row: Row, of_category: Mapping[str, bytes]) -> dict[str, tuple[array[float], array[int]]]:
    """A row's scores, rising, and their places, by category."""
    places, scores = row.places[::-1], row.scores[::-1]
    found = {}
    for category, inside in of_category.items():
        held = bytes(map(inside.__getitem__, places))
        found[category] = array("f", compress(scores, held)), array("I", compress(places, held))
    return found
