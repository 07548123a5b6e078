"""The answers of one model about many images: from the store where they are kept, else from the model.

Images are read for their digests a little ahead of the model; what is kept is taken without it, and a model of which
every answer is kept is never loaded.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from lora_tui.dataset.buckets import Box
from lora_tui.dataset.facts import read_facts
from lora_tui.dataset.verdicts import Verdicts
from lora_tui.errors import UserError
from lora_tui.tagging.apart import Apart
from lora_tui.tagging.cache import Answer, AnswerCache, Stamp, digest_of_parts, key_of, read_digest, stamp_of
from lora_tui.tagging.hub import StoppedError
from lora_tui.tagging.models import Model
from lora_tui.tagging.tagger import Device
from lora_tui.text import _, plain

POLL_SECONDS = 0.1
_READERS = 2
_AHEAD = 16


@dataclass(frozen=True)
class Target:
    """An image whose answer is wanted.

    Attributes:
        number: of its entry.
        prompt: what the model is asked; empty for models that are asked nothing.
        part: the part of the image that is trained, px of the upright image; none for the whole.
    """

    number: int
    path: Path
    prompt: str = ""
    part: Box | None = None


@dataclass
class Gathered:
    """How one model fared.

    Attributes:
        name: of the model.
        answered: how many images it has an answer to.
        kept: for how many of them it was kept from before.
        failed: why an image has none, by the number of its entry.
        told: where the model computed; empty when it was not needed.
    """

    name: str
    answered: int = 0
    kept: int = 0
    failed: dict[int, UserError] = field(default_factory=dict)
    told: str = ""


_Known = tuple[Stamp, bytes]
"""How a file looked, and the digest of what it held then."""

Take = Callable[[int, Answer], None]
Progress = Callable[[str, int, int, str], None]
Stop = Callable[[], bool]


def gather(
    model: Model,
    targets: Iterable[Target],
    cache: AnswerCache,
    device: Device,
    take: Take,
    *,
    root: Path,
    again: bool = False,
    on_progress: Progress | None = None,
    should_stop: Stop | None = None,
) -> Gathered:
    """Ask a model about images.

    Args:
        take: given each answer with the number of its entry, as they come.
        root: the dataset's folder; when it vanishes, so does the sense of going on.
        again: ask it even where its answer is kept.
        on_progress: told the phase (``loading``, ``tagging``), how many of how many images, and the model.

    Raises:
        UserError: the model cannot work, or the dataset has vanished. What was answered until then is kept.
        StoppedError: ``should_stop`` said yes; the same holds.
    """
    wanted = list(targets)
    run = _Run(model, wanted, cache, device, take, root, on_progress, should_stop)
    try:
        with ExitStack() as stack:
            run.go(stack, again=again)
    finally:
        cache.flush()
    return run.found


class _Run:
    def __init__(
        self,
        model: Model,
        wanted: list[Target],
        cache: AnswerCache,
        device: Device,
        take: Take,
        root: Path,
        on_progress: Progress | None,
        should_stop: Stop | None,
    ) -> None:
        self.found = Gathered(model.name)
        self._give = take
        self._model, self._wanted, self._cache, self._device, self._root = model, wanted, cache, device, root
        self._on_progress, self._should_stop = on_progress, should_stop
        self._kept_as = cache.model(model.identity(cache), model.name, model.vocabulary)
        self._verdicts = Verdicts()
        self._keys: dict[int, tuple[Path, Stamp, bytes, bytes]] = {}
        self._apart: Apart | None = None

    def go(self, stack: ExitStack, *, again: bool) -> None:
        for target, known in self._digested(stack):
            self._check()
            if isinstance(known, UserError):
                self._failed(target.number, known)
                continue
            stamp, image = known[0], key_of(known[1], target.part)
            asked = digest_of_parts((target.prompt,)) if target.prompt else b""
            kept = None if again else self._cache.get(self._kept_as, image, asked)
            if kept is not None:
                self.found.kept += 1
                self._answered(target.number, kept)
                continue
            self._keys[target.number] = target.path, stamp, image, asked
            if self._apart is None:
                self._tell("loading")
                self._apart = stack.enter_context(Apart(self._model, self._device))
            self._apart.give(target.number, target.path, target.prompt, target.part)
            while self._apart.is_full:
                self._take(POLL_SECONDS)
            self._take(0)
        if self._apart is not None:
            self._apart.no_more()
            while self._apart.under_way:
                self._take(POLL_SECONDS)
            self.found.told = self._apart.told
        self._tell("tagging")

    def _take(self, seconds: float) -> None:
        assert self._apart is not None
        self._check()
        for number, answer in self._apart.taken(seconds):
            if isinstance(answer, UserError):
                self._failed(number, answer)
                continue
            if answer == "":
                self._failed(number, UserError(_("The model answered nothing."), code="tagger.empty"))
                continue
            path, stamp, image, asked = self._keys.pop(number)
            if not _is_as_before(path, stamp):  # nobody knows which of the pictures the model has seen
                self._failed(number, _changed(path))
                continue
            self._cache.put(self._kept_as, image, answer, asked)
            self._answered(number, answer)

    def _answered(self, number: int, answer: Answer) -> None:
        self.found.answered += 1
        self._give(number, answer)
        self._tell("tagging")

    def _failed(self, number: int, error: UserError) -> None:
        if not self._root.is_dir():
            raise UserError(
                _("The dataset's folder has vanished."),
                place=plain(str(self._root)),
                remedy=_("Bring it back and run the same again; the answers so far are kept."),
                code="tagger.vanished",
            )
        self.found.failed[number] = error
        self._tell("tagging")

    def _check(self) -> None:
        if self._should_stop is not None and self._should_stop():
            raise StoppedError

    def _tell(self, phase: str) -> None:
        if self._on_progress is not None:
            done = self.found.answered + len(self.found.failed)
            self._on_progress(phase, done, len(self._wanted), self._model.name)

    def _digested(self, stack: ExitStack) -> Iterator[tuple[Target, _Known | UserError]]:
        """The targets with what is known of their files, which threads read a little ahead where nothing is."""
        pool = ThreadPoolExecutor(_READERS, thread_name_prefix="digest")
        stack.callback(pool.shutdown, wait=False, cancel_futures=True)
        waiting: deque[tuple[Target, _Known | Future[_Known]]] = deque()
        for target in self._wanted:
            waiting.append((target, self._cache.known(target.path) or pool.submit(self._looked_at, target.path)))
            if len(waiting) > _AHEAD:
                yield self._read(*waiting.popleft())
        while waiting:
            yield self._read(*waiting.popleft())

    def _looked_at(self, path: Path) -> _Known:
        """The digest of an image that can be decoded as far as is known, so that no model is loaded for the others.

        Raises:
            UserError: it is no image, or is known to be damaged.
            OSError: it cannot be read.
        """
        if (damage := self._verdicts.damage(path, read_facts(path))) is not None:
            raise damage
        return read_digest(path)

    def _read(self, target: Target, found: _Known | Future[_Known]) -> tuple[Target, _Known | UserError]:
        if not isinstance(found, Future):
            return target, found
        try:
            stamp, digest = found.result()
        except UserError as error:
            return target, error
        except OSError as error:
            return target, UserError(
                _("The image cannot be read: {reason}.").format(reason=plain(error.strerror or str(error))),
                place=plain(str(target.path)),
                remedy=_("Check the file and its permissions."),
                code="image.unreadable",
            )
        self._cache.note_digest(stamp, digest)
        return target, (stamp, digest)


def _is_as_before(path: Path, stamp: Stamp) -> bool:
    try:
        return stamp_of(path) == stamp
    except OSError:
        return False


def _changed(path: Path) -> UserError:
    return UserError(
        _("The image was changed while the model looked at it."),
        place=plain(str(path)),
        remedy=_("Run the same again."),
        code="tagger.changed",
    )
