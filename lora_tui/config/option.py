"""What the schema says of a setting besides its type: the one description that all faces draw from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pydantic import Field
from pydantic.fields import FieldInfo


@dataclass(frozen=True)
class Rule:
    """When a setting has an effect: a test on the whole configuration and the sentence that says it."""

    test: Callable[[Any], bool]
    text: str


@dataclass(frozen=True)
class Option:
    """One setting, described for the form, the help, the TOML comments and the documentation.

    Attributes:
        title: the field's own term, lower case, a few words.
        help: what it does, what it costs, when to change it; a short paragraph.
        unit: ``px``, ``steps``, ``GB`` or empty.
        expert: hidden in the simple view of the form.
        families: model families that it applies to; empty means all.
        when: the rule for when it has an effect; none means always.
        peers: names of the same setting in other programs, for search (``network_dim``).
        labels: what a person reads for each allowed value, when the value alone does not say it.
        path: ``file``, ``folder`` or ``model`` (file, folder or hub name) when the text is a place.
    """

    title: str
    help: str
    unit: str = ""
    expert: bool = False
    families: tuple[str, ...] = ()
    when: Rule | None = None
    peers: tuple[str, ...] = ()
    labels: tuple[tuple[str, str], ...] = ()
    path: str = ""


def option(
    default: Any,
    title: str,
    help: str,  # noqa: A002 - the word every reader knows
    *,
    ge: float | None = None,
    le: float | None = None,
    gt: float | None = None,
    factory: Callable[[], Any] | None = None,
    **described: Any,
) -> Any:
    """A pydantic field with its :class:`Option`; ``ge``, ``gt`` and ``le`` bound it (inclusive, exclusive)."""
    extra: Any = {"option": Option(title=title, help=help, **described)}
    bounds: dict[str, Any] = {k: v for k, v in (("ge", ge), ("le", le), ("gt", gt)) if v is not None}
    if factory is not None:
        return Field(default_factory=factory, json_schema_extra=extra, **bounds)
    return Field(default=default, json_schema_extra=extra, **bounds)


def option_of(field: FieldInfo) -> Option:
    """The :class:`Option` that :func:`option` stored with ``field``.

    Raises:
        LookupError: the field was declared without one.
    """
    extra: Any = field.json_schema_extra
    if isinstance(extra, dict):
        found = extra.get("option")
        if isinstance(found, Option):
            return found
    raise LookupError(f"a schema field has no option: {field!r}")
