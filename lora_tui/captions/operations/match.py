"""Which tags an operation means: by name, by wildcard, by regular expression."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from time import thread_time

from lora_tui.captions.expressions import STOPPED, call_in
from lora_tui.captions.vocabulary import glob_expression
from lora_tui.errors import UserError
from lora_tui.text import _, plain

SECONDS = 2.0
"""How long a regular expression may take on one caption before it counts as one that explodes."""

EACH, MOST = 0.003, 60.0
"""Seconds that an operation may take for each caption beside those, some ten times what a good expression needs, and
at most for all of them together: one that explodes on every caption a little must end, too."""

_ALLOWED: ContextVar[tuple[float, Callable[[], bool] | None] | None] = ContextVar("allowed", default=None)


@contextmanager
def allowance(captions: int, should_stop: Callable[[], bool] | None = None) -> Iterator[None]:
    """Within it the regular expressions of one operation share their time: processor time of this thread.

    Args:
        captions: how many are looked at.
        should_stop: once it says yes, no expression is tried any more.
    """
    end = thread_time() + min(SECONDS + EACH * captions, MOST)
    token = _ALLOWED.set((end, should_stop))
    try:
        yield
    finally:
        _ALLOWED.reset(token)


def seconds() -> float:
    """How long the next regular expression may take.

    Raises:
        TimeoutError: no time is left.
    """
    allowed = _ALLOWED.get()
    if allowed is None:
        return SECONDS
    end, should_stop = allowed
    left = end - thread_time()
    if left <= 0 or (should_stop is not None and should_stop()):
        raise TimeoutError
    return min(left, SECONDS)


def compiled(pattern: str, *, ignore_case: bool = False):  # type: ignore[no-untyped-def] # regex has no types
    """A regular expression of the ``regex`` package.

    Raises:
        UserError: ``captions.regex`` with the place of the mistake.
    """
    import regex

    if (at := call_in(pattern)) is not None:
        raise UserError(
            _("A regular expression may not call itself or one of its groups."),
            place=f"/{plain(pattern)}/:{at + 1}",
            remedy=_("Write the part out where it is meant."),
            code="captions.regex",
        )
    try:
        return regex.compile(pattern, regex.V0 | (regex.IGNORECASE if ignore_case else 0))
    except (regex.error, OverflowError, RecursionError, MemoryError) as error:
        where = getattr(error, "pos", None)
        message = _("The regular expression is wrong: {reason}.").format(
            reason=plain(getattr(error, "msg", str(error)))
        )
        place = f"/{plain(pattern)}/" + ("" if where is None else ":" + str(where + 1))
        raise UserError(message, place=place, code="captions.regex") from None


def too_slow(pattern: str) -> UserError:
    """The error for an expression that ran out of its time."""
    return UserError(
        _("The regular expression takes too long on these captions; nothing was changed."),
        place=f"/{plain(pattern)}/",
        remedy=_("Avoid repeats within repeats, such as (a+)+."),
        code="captions.regex_slow",
    )


@dataclass(frozen=True)
class Tags:
    r"""Tags that are meant: exact names, wild ones, whole-tag regular expressions.

    Wild names are those of the filter: ``*`` and ``?``, ``\*`` for a star, and case is ignored.
    """

    names: tuple[str, ...] = ()
    globs: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()
    ignore_case: bool = False
    _exact: frozenset[str] = field(default=frozenset(), init=False, repr=False)
    _wild: tuple[re.Pattern[str], ...] = field(default=(), init=False, repr=False)
    _compiled: tuple = field(default=(), init=False, repr=False)  # type: ignore[type-arg]

    def __post_init__(self) -> None:
        exact = frozenset(name.casefold() for name in self.names) if self.ignore_case else frozenset(self.names)
        expressions = tuple(compiled(one, ignore_case=self.ignore_case) for one in self.patterns)
        object.__setattr__(self, "_exact", exact)
        object.__setattr__(self, "_wild", tuple(map(glob_expression, self.globs)))
        object.__setattr__(self, "_compiled", expressions)

    def has(self, tag: str) -> bool:
        """Whether ``tag`` is meant.

        Raises:
            UserError: ``captions.regex_slow``.
        """
        if (tag.casefold() if self.ignore_case else tag) in self._exact:
            return True
        if any(one.match(tag) for one in self._wild):
            return True
        try:
            return any(one.fullmatch(tag, timeout=seconds()) for one in self._compiled)
        except STOPPED:
            raise too_slow(" | ".join(self.patterns)) from None

    @property
    def is_fuzzy(self) -> bool:
        """Whether more is meant than names to the letter."""
        return bool(self._compiled or self._wild) or self.ignore_case

    def may_be_in(self, caption: str) -> bool:
        """A quick look that is never wrong when it says no."""
        if self.is_fuzzy:
            return True
        return any(name in caption for name in self.names)


def exactly(names: Iterable[str], *, ignore_case: bool = False) -> Tags:
    return Tags(names=tuple(names), ignore_case=ignore_case)
