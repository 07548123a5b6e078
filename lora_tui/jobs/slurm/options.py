"""What a run asks of Slurm, as a person says it and as sbatch takes it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from lora_tui.errors import UserError
from lora_tui.text.plain import plain
from lora_tui.text.translate import N_, _

MOST_NODES = 4096
MOST_CPUS = 4096
LONGEST = 2000
"""Characters of one further option or line of shell."""

_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.,:+@%/=\[\]-]{0,199}")
_GPUS = re.compile(r"(?:([A-Za-z][A-Za-z0-9_.-]{0,63}):)?(\d{1,3})", re.ASCII)
_MEMORY = re.compile(r"(\d{1,9})([KMGT]?)B?", re.IGNORECASE | re.ASCII)
_SLURM_TIME = re.compile(r"(?:(\d{1,4})-)?(\d{1,6})(?::(\d{1,2}))?(?::(\d{1,2}))?", re.ASCII)
_SPAN = re.compile(r"(?:(\d{1,4})d)?\s*(?:(\d{1,6})h)?\s*(?:(\d{1,8})m(?:in)?)?", re.IGNORECASE | re.ASCII)
_OPTION = re.compile(r"--?([A-Za-z][A-Za-z-]*)(?:[= ].*)?", re.DOTALL)

OURS = frozenset(
    {
        *("job-name", "J", "output", "o", "error", "e", "open-mode", "chdir", "D", "wrap", "array", "a", "parsable"),
        *("requeue", "no-requeue", "ntasks", "n", "ntasks-per-node", "test-only", "wait", "W", "help", "version"),
        *("partition", "p", "nodes", "N", "time", "t", "account", "A", "qos", "q", "mem", "cpus-per-task", "c"),
    }
)
"""Options of sbatch that cannot be further ones: the script has them, or they make it something else."""

TEXTS = {
    "partition": N_("the partition to wait in"),
    "gpus": N_("GPUs of each node: a number, or kind and number such as a100:2"),
    "time": N_("the time limit: 4h, 90m, 1d12h, or as sbatch writes it"),
    "nodes": N_("how many nodes share each step"),
    "account": N_("the account that pays"),
    "qos": N_("the quality of service"),
    "memory": N_("main memory of each node, such as 64G"),
    "cpus": N_("processor cores of each node"),
    "requeue": N_("go on by itself after the time limit or after being preempted (yes)"),
    "lines": N_("more for sbatch, such as constraint=a100; repeatable"),
    "setup": N_("a line of shell that comes before, such as module load cuda; repeatable"),
}
"""Each option in words; the names are those of ``[slurm]`` in the settings, too."""


@dataclass(frozen=True)
class Options:
    """What Slurm is asked for; empty or 0 leaves it to the cluster's own default.

    Attributes:
        gpus: of each node: ``2``, or ``a100:2``.
        time: as sbatch takes it.
        memory: of each node, as ``--mem`` takes it.
        cpus: of each node.
        requeue: a run that was preempted, or whose time was over, waits for its next turn by itself.
        lines: further options of sbatch, each with its dashes.
        setup: lines of shell that are run on the node before.
    """

    partition: str = ""
    gpus: str = ""
    time: str = ""
    nodes: int = 1
    account: str = ""
    qos: str = ""
    memory: str = ""
    cpus: int = 0
    requeue: bool = True
    lines: tuple[str, ...] = ()
    setup: tuple[str, ...] = ()

    @property
    def gpu_count(self) -> int:
        """GPUs of each node; 0 where none are asked for."""
        found = _GPUS.fullmatch(self.gpus)
        return int(found[2]) if found else 0

    @property
    def seconds(self) -> int | None:
        """The time limit; none where it is the cluster's own."""
        return seconds_of(self.time) if self.time else None

    @property
    def processes(self) -> int:
        """Processes that share each step: one for each GPU, or for each node without any; 1 for a run of one."""
        return self.nodes * max(self.gpu_count, 1)


def options_from(values: Mapping[str, Any], start: Options | None = None, *, place: str = "") -> Options:
    """``start`` (the defaults) with ``values`` in place of what it has.

    Args:
        place: what stands before the option's name where something is wrong, such as ``--`` or a file.

    Raises:
        UserError: ``slurm.option``.
    """
    read: dict[str, Any] = {}
    for name, value in values.items():
        if name not in TEXTS:
            known = ", ".join(TEXTS)
            raise _wrong(place + plain(name, limit=60), value, _("one of {choices}").format(choices=known))
        read[name] = _READ[name](value, place + name)
    return replace(start or Options(), **read)


def as_plain(options: Options) -> dict[str, Any]:
    """The options as JSON can say them."""
    return {**asdict(options), "lines": list(options.lines), "setup": list(options.setup)}


def seconds_of(time: str) -> int | None:
    """Seconds of a time as sbatch takes it: minutes, M:S, H:M:S, D-H, D-H:M or D-H:M:S; none for any other text."""
    found = _SLURM_TIME.fullmatch(time)
    if not found:
        return None
    days, first, second, third = (None if part is None else int(part) for part in found.groups())
    if days is not None:
        return ((days * 24 + (first or 0)) * 60 + (second or 0)) * 60 + (third or 0)
    if third is not None:
        return ((first or 0) * 60 + (second or 0)) * 60 + third
    return (first or 0) * 60 + (second or 0)


def _time(value: Any, place: str) -> str:
    """A time limit as sbatch takes it; ``4h`` is written out, because there it would be no time."""
    text = str(value).strip()
    if text.upper() in ("", "UNLIMITED", "INFINITE"):
        return text.upper()
    seconds = seconds_of(text)
    if seconds is None and (found := _SPAN.fullmatch(text)) and any(found.groups()):
        days, hours, minutes = (int(part or 0) for part in found.groups())
        seconds = (days * 24 + hours) * 3600 + minutes * 60
        text = f"{seconds // 86400}-{seconds // 3600 % 24:02}:{seconds // 60 % 60:02}:00"
    if seconds is None or not 60 <= seconds <= 366 * 86400:
        raise _wrong(place, value, _("a time of at least a minute, such as 4h, 90m, 1d12h or 1-12:00:00"))
    return text


def _word(value: Any, place: str) -> str:
    text = str(value).strip() if isinstance(value, str | int) and not isinstance(value, bool) else "?"
    if text and not _WORD.fullmatch(text):
        raise _wrong(place, value, _("one word, as the cluster calls it"))
    return text


def _gpus(value: Any, place: str) -> str:
    text = str(value).strip().lower()
    found = _GPUS.fullmatch(str(value).strip())
    if text in ("", "none") or (found and not int(found[2])):
        return ""
    if isinstance(value, bool) or not found:
        raise _wrong(place, value, _("a number, or kind and number such as a100:2"))
    return f"{found[1]}:{int(found[2])}" if found[1] else str(int(found[2]))


def _memory(value: Any, place: str) -> str:
    text = str(value).strip()
    found = _MEMORY.fullmatch(text)
    if text and (isinstance(value, bool) or not found):
        raise _wrong(place, value, _("an amount such as 64G"))
    return f"{found[1]}{found[2].upper()}" if found else ""


def _among(least: int, most: int) -> Any:
    def read(value: Any, place: str) -> int:
        text = str(value).strip()
        if isinstance(value, bool) or not (text.isascii() and text.isdigit() and least <= int(text[:9]) <= most):
            raise _wrong(place, value, _("a whole number from {least} to {most}").format(least=least, most=most))
        return int(text)

    return read


def _flag(value: Any, place: str) -> bool:
    if not isinstance(value, bool):
        raise _wrong(place, value, _("true or false"))
    return value


def _texts(value: Any, place: str) -> list[str]:
    found = [value] if isinstance(value, str) else value
    if not isinstance(found, list | tuple) or not all(isinstance(text, str) for text in found):
        raise _wrong(place, value, _("a list of texts"))
    return [text.strip() for text in found if text.strip()]


def _lines(value: Any, place: str) -> tuple[str, ...]:
    """Further options; a person may write them without their dashes, or as a script has them, behind ``#SBATCH``."""
    found = [text.removeprefix("#SBATCH").strip() for text in _texts(value, place)]
    found = [text if text.startswith("-") else f"--{text}" for text in found]
    for text in found:
        option = _OPTION.fullmatch(text)
        if option is None or plain(text) != text or len(text) > LONGEST:
            raise _wrong(place, text, _("an option of sbatch, such as constraint=a100"))
        if option[1] in OURS:
            raise UserError(
                _("{option} cannot be among the further options of sbatch.").format(option=plain(text, limit=60)),
                place=place,
                remedy=_("The script has an option of its own for that, or it does not fit a training."),
                code="slurm.option",
            )
    return tuple(found)


def _setup(value: Any, place: str) -> tuple[str, ...]:
    found = [line for text in _texts(value, place) for line in text.split("\n")]
    if any("\0" in line or len(line) > LONGEST for line in found):
        raise _wrong(place, value, _("lines of shell"))
    return tuple(found)


_READ: Mapping[str, Any] = {
    **dict.fromkeys(("partition", "account", "qos"), _word),
    "gpus": _gpus,
    "time": _time,
    "nodes": _among(1, MOST_NODES),
    "memory": _memory,
    "cpus": _among(0, MOST_CPUS),
    "requeue": _flag,
    "lines": _lines,
    "setup": _setup,
}


def _wrong(place: str, value: Any, expected: str) -> UserError:
    return UserError(
        _("{value} is not allowed; it must be {expected}.").format(
            value=plain(repr(value), limit=80), expected=expected
        ),
        place=place,
        code="slurm.option",
    )
