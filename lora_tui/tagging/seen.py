"""What taggers are sure to have seen in images, by the answers that were kept: no model is loaded, no image is read."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING

from lora_tui.dataset.coverage import SURE, tells
from lora_tui.dataset.set_checks import MOST_COVERED
from lora_tui.tagging.cache import AnswerCache, key_of
from lora_tui.tagging.rows import Row

if TYPE_CHECKING:
    from lora_tui.dataset.scan import DatasetImage


def sure_tags(
    images: Iterable[DatasetImage], least: float, should_stop: Callable[[], bool] | None = None
) -> list[dict[str, float]]:
    """For each image its tags with scores from ``least`` on, by the model used last of those that have seen it.

    An image has none where no model has seen it as it is trained now.

    Args:
        should_stop: asked now and then; once it says yes, the rest is taken as not seen.
    """
    found: list[dict[str, float]] = []
    with AnswerCache() as cache:
        models, stopped = cache.models(), False
        for number, image in enumerate(images):
            stopped = stopped or (number % 256 == 0 and should_stop is not None and should_stop())
            digest = cache.digest(image.path) if models and not stopped else None
            found.append({})
            for model in models if digest is not None else ():
                row = cache.get(model.number, key_of(digest, image.crop)) if digest is not None else None
                if isinstance(row, Row) and model.vocabulary is not None:
                    names, pairs = model.vocabulary.names, zip(row.places, row.scores, strict=True)
                    found[-1] = {names[place]: score for place, score in takewhile(lambda one: one[1] >= least, pairs)}
                    break
    return found


def telling_tags(
    images: Sequence[DatasetImage], should_stop: Callable[[], bool] | None = None
) -> dict[Path, tuple[str, ...]]:
    """What taggers are sure of that says which sides of their subject images show; of very many, nothing is asked."""
    if len(images) > MOST_COVERED:
        return {}
    seen = zip(images, sure_tags(images, SURE, should_stop), strict=True)
    told = ((image.path, tuple(tag for tag in tags if tells(tag))) for image, tags in seen)
    return {path: tags for path, tags in told if tags}
