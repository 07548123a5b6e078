"""What a launcher of several processes, such as ``accelerate launch`` or ``torchrun``, says to each by its environment.

The variables are those of ``torch.distributed``'s ``env://``: RANK, WORLD_SIZE, MASTER_ADDR, MASTER_PORT, and of
``torchrun`` LOCAL_RANK and LOCAL_WORLD_SIZE.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from lora_tui.errors import UserError
from lora_tui.text.translate import _

LOOPBACK = "127.0.0.1"
_NEEDED = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


@dataclass(frozen=True)
class Launched:
    """A process among those that a launcher started together.

    Attributes:
        number: of this one, from 0; ``count`` of all.
        local: which of this machine's processes it is, from 0; ``local_count`` of them.
        address: of the machine where the first one is.
    """

    number: int
    count: int
    local: int
    local_count: int
    address: str

    @property
    def one_machine(self) -> bool:
        """Whether all of them are on this machine."""
        return self.local_count == self.count

    @property
    def host(self) -> str:
        """Where the first one listens to the others."""
        return LOOPBACK if self.one_machine else self.address


def launched(environment: Mapping[str, str] | None = None) -> Launched | None:
    """This process among those of a launcher; none where nobody started several together.

    Raises:
        UserError: the variables say what cannot be, or that a launcher was asked for several and started one.
    """
    found = os.environ if environment is None else environment
    if not all(found.get(name) for name in _NEEDED):
        if found.get("MASTER_PORT") and found.get("ACCELERATE_MIXED_PRECISION"):  # of its launcher without ranks
            raise UserError(
                _("accelerate launch was asked for several processes and has started one."),
                place="accelerate launch",
                remedy=_("Pass --multi_gpu instead of --cpu (it is right on a CPU, too), or --num_processes 1."),
                code="launcher.one",
            )
        return None
    number, count = _number(found, "RANK", 0), _number(found, "WORLD_SIZE", 1)
    if count == 1:
        return None
    near = found["MASTER_ADDR"] in (LOOPBACK, "localhost", "::1")
    local = _number(found, "LOCAL_RANK", 0, number if near else None)
    local_count = _number(found, "LOCAL_WORLD_SIZE", 1, count if near else None)
    if number >= count or local >= local_count or local_count > count:
        raise _wrong("RANK", str(number))
    return Launched(number, count, local, local_count, found["MASTER_ADDR"])


def _number(found: Mapping[str, str], name: str, least: int, default: int | None = None) -> int:
    text = found.get(name) or ("" if default is None else str(default))
    if not (text.isascii() and text.isdigit()) or len(text) > 6 or int(text) < least:
        raise _wrong(name, text)
    return int(text)


def _wrong(name: str, text: str) -> UserError:
    return UserError(
        _("The launcher's variable {name} cannot be “{text}”.").format(name=name, text=text[:40]),
        place=name,
        remedy=_("Start it with accelerate launch or torchrun, or without any of: {names}.").format(
            names=", ".join((*_NEEDED, "LOCAL_RANK", "LOCAL_WORLD_SIZE"))
        ),
        code="launcher.environment",
    )
