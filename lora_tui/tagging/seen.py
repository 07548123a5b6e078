"""What taggers are sure to have seen in images, by the answers that were kept: no model is loaded, no image is read."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import takewhile
from typing import TYPE_CHECKING

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
