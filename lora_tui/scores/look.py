"""Pictures, training images and prompts shown to models. Needs torch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lora_tui.config.schema import Config
from lora_tui.dataset.buckets import Box
from lora_tui.dataset.load import content_hash, open_upright
from lora_tui.errors import UserError
from lora_tui.families.devices import choose_device, use_threads
from lora_tui.hub import StoppedError
from lora_tui.scores.kept import Kept, Picture, vectors_of
from lora_tui.scores.likeness import Aspect
from lora_tui.scores.material import Drawn, Reference
from lora_tui.scores.measures import Looked
from lora_tui.scores.models import Looker, Reader, looker
from lora_tui.scores.named import Panel
from lora_tui.tasks.report import Report
from lora_tui.text import _

if TYPE_CHECKING:
    from PIL.Image import Image


def look(
    panel: Panel,
    config: Config,
    drawn: Sequence[Drawn],
    references: Sequence[Reference],
    texts: Sequence[str],
    aspect: Aspect,
    report: Report,
) -> tuple[Looked, int]:
    """What the models make of it all, and how many pictures they had to look at.

    Args:
        texts: what the prompts say.
        aspect: what the package's own encoder compares.

    Raises:
        UserError: a model cannot be loaded, or the device is missing.
        StoppedError: somebody asked to stop; what was seen is kept.
    """
    use_threads(config.memory.threads)
    device = choose_device(config.memory.device)
    report.progress("loading", 0, 0, panel.images.name)
    watcher = looker(panel.images, device, aspect)
    cells = [*_pictures(((one.key, one.path, None) for one in drawn), report.warn)]
    images = [*_pictures(((str(at), one.path, one.crop) for at, one in enumerate(references)), report.warn)]
    seen = _seen(cells, watcher, report, panel.images.name)
    trained = _seen(images, watcher, report, _("training images"))
    paired = [(one, trained.vectors[str(at)]) for at, one in enumerate(references) if str(at) in trained.vectors]
    fresh = seen.fresh + trained.fresh
    if panel.prompts is None:
        return Looked(seen.vectors, frozenset(seen.blank), paired), fresh
    if panel.prompts is not panel.images:
        report.progress("loading", 0, 0, panel.prompts.name)
        watcher = looker(panel.prompts, device, aspect)
    assert isinstance(watcher, Reader)
    read = seen if panel.prompts is panel.images else _seen(cells, watcher, report, panel.prompts.name)
    vectors = watcher.texts(texts).astype(np.float64) if texts else ()
    said = dict(zip(texts, vectors, strict=True))
    return Looked(seen.vectors, frozenset(seen.blank), paired, read.vectors, said), fresh


def _seen(pictures: Sequence[Picture], model: Looker, report: Report, what: str) -> Kept:
    def tell(done: int, total: int) -> None:
        report.progress("measuring", done, total, what)
        if report.should_stop():
            raise StoppedError

    return vectors_of(pictures, model, tell, report.warn)


def _pictures(files: Iterable[tuple[str, Path, Box | None]], warn: Callable[[UserError], None]) -> Iterator[Picture]:
    """The files that can be read, of their names, paths and parts."""
    for name, path, part in files:
        try:
            content = content_hash(path)
        except UserError as error:
            warn(error)
            continue
        yield Picture(name, f"{content} {_told(part)}", partial(_opened, path, part))


def _told(part: Box | None) -> str:
    return repr(part) if part is not None else ""


def _opened(path: Path, part: Box | None) -> Image:
    return open_upright(path, part=part)
