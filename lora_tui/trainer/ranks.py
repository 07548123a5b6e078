"""The processes that share each update of a run: which of them this is, and how they agree.

The first one decides whatever is to be decided; the others are told. Each call here except :meth:`Together.tell` is
made by all of them, in the same order, or all wait for ever. Hosts exchange small numbers by gloo, so no device is
waited for; tensors of a GPU are summed there by NCCL.
"""

from __future__ import annotations

import datetime
import json
import os
import socket
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

T = TypeVar("T")

BEGIN, GO, PARK, UNPARK, POLICY, COURSE = range(1, 7)
"""What the first process says: take up what was learned; share the next batches; leave the device; take it again;
do this to need less memory; learn at this rate, up to this step."""

HOST = "127.0.0.1"
_LOOPBACK = "lo0" if sys.platform == "darwin" else "lo"
_PATIENCE = datetime.timedelta(days=365)  # a pause may be long; that a process is gone is noticed at once all the same
_JOINING = datetime.timedelta(minutes=10)
_LOOK = 0.05  # seconds between looks whether all have come


class Ranks(Protocol):
    """The processes of a run, seen from one of them.

    Attributes:
        number: of this one, from 0; the first samples, validates, saves and tells.
        count: of all.
        obey: what the others do at each word but :data:`BEGIN` and :data:`GO`.
    """

    number: int
    count: int
    obey: Mapping[int, Callable[[], None]]

    @property
    def is_first(self) -> bool:
        """Whether this is the one that decides."""
        ...

    def agree(self, value: T) -> T:
        """What the first process has as ``value`` (as JSON knows it), in all of them."""
        ...

    def any(self, flag: bool) -> bool:
        """Whether any of them has ``flag``; said alike in all."""
        ...

    def totals(self, counts: Sequence[int]) -> list[int]:
        """The sums over all processes of each of ``counts``."""
        ...

    def add_up(self, tensor: Tensor) -> None:
        """Make ``tensor`` the sum over all processes, the same bits in each; a GPU is not waited for."""
        ...

    def share(self, tensor: Tensor) -> None:
        """Make ``tensor`` what the first process has, to the bit; a GPU is not waited for."""
        ...

    def barrier(self) -> None:
        """Wait until all have come here."""
        ...

    def tell(self, word: int) -> None:
        """Say a word, as the first process; the others hear it where they next :meth:`meet`."""
        ...

    def leave(self) -> None:
        """Share nothing more, as the first process: the others end."""
        ...

    def meet(self, word: int = GO) -> None:
        """Come together: the first says ``word``; the others wait for it and obey what it says before."""
        ...


class Alone:
    """One process: it agrees with itself."""

    number, count, is_first = 0, 1, True
    obey: Mapping[int, Callable[[], None]] = {}

    def agree(self, value: T) -> T:
        return value

    def any(self, flag: bool) -> bool:
        return flag

    def totals(self, counts: Sequence[int]) -> list[int]:
        return list(counts)

    def add_up(self, tensor: Tensor) -> None:
        pass

    def share(self, tensor: Tensor) -> None:
        pass

    def barrier(self) -> None:
        pass

    def tell(self, word: int) -> None:
        pass

    def leave(self) -> None:
        pass

    def meet(self, word: int = GO) -> None:
        pass


class Together:
    """Several processes, joined by ``group``, a process group of torch that takes tensors of CPU and device."""

    def __init__(
        self,
        group: Any,
        number: int,
        count: int,
        lost: Callable[[RuntimeError], Exception],
        leave: Callable[[], None] = lambda: None,
    ) -> None:
        """``lost`` makes the error to raise of one that says that another process is gone; see :meth:`leave`."""
        self.number = number
        self.count = count
        self.obey: Mapping[int, Callable[[], None]] = {}
        self._group = group
        self._lost = lost
        self._leave = leave

    @property
    def is_first(self) -> bool:
        return self.number == 0

    def agree(self, value: T) -> T:
        data = json.dumps(value).encode() if self.is_first else b""
        length = self._told(torch.tensor([len(data)]))
        text = torch.frombuffer(bytearray(data), dtype=torch.uint8) if data else torch.zeros(length, dtype=torch.uint8)
        self._wait(lambda: self._group.broadcast(text, 0))
        agreed: T = json.loads(text.numpy().tobytes())
        return agreed

    def any(self, flag: bool) -> bool:
        return self.totals([flag])[0] > 0

    def totals(self, counts: Sequence[int]) -> list[int]:
        numbers = torch.tensor(counts, dtype=torch.int64)
        self._wait(lambda: self._group.allreduce([numbers]))
        return [int(number) for number in numbers.tolist()]

    def add_up(self, tensor: Tensor) -> None:
        self._wait(lambda: self._group.allreduce([tensor]))

    def share(self, tensor: Tensor) -> None:
        self._wait(lambda: self._group.broadcast(tensor, 0))

    def barrier(self) -> None:
        self.totals([0])

    def tell(self, word: int) -> None:
        self._told(torch.tensor([word]))

    def leave(self) -> None:
        self._leave()

    def meet(self, word: int = GO) -> None:
        if self.is_first:
            self.tell(word)
            return
        while (said := self._told(torch.zeros(1, dtype=torch.int64))) != word:
            self.obey[said]()

    def _told(self, number: Tensor) -> int:
        self._wait(lambda: self._group.broadcast(number, 0))
        return int(number)

    def _wait(self, begin: Callable[[], Any]) -> None:
        """Take part in an exchange.

        Raises:
            Exception: what ``lost`` made of it, when another process is gone.
        """
        try:
            begin().wait()
        except RuntimeError as error:
            raise self._lost(error) from error


def free_port(host: str = HOST) -> socket.socket:
    """A socket that listens on a free port of that address alone; nobody else can take the port meanwhile."""
    return socket.create_server((host, 0), family=socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0][0])


def join(
    number: int,
    count: int,
    device: torch.device,
    place: socket.socket | tuple[str, int],
    lost: Callable[[RuntimeError], Exception],
    *,
    waiting: Callable[[], None] = lambda: None,
    leave: Callable[[], None] = lambda: None,
) -> Together:
    """Join the processes of a run; returns when all ``count`` are there.

    ``place`` is where they meet, an address and a port: in the first process the socket of :func:`free_port`, which is
    used up. Where that is the loopback device nothing listens elsewhere; between machines the devices are those that
    GLOO_SOCKET_IFNAME and NCCL_SOCKET_IFNAME name, or that the libraries choose. ``waiting`` is called again and again
    until all have come; it may raise.

    Raises:
        Exception: what ``lost`` made of it, when they did not come together.
    """
    host, port = (place if isinstance(place, tuple) else place.getsockname())[:2]
    if host == HOST:
        os.environ["GLOO_SOCKET_IFNAME"] = os.environ["NCCL_SOCKET_IFNAME"] = _LOOPBACK
    listening = None if isinstance(place, tuple) else place.detach()
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    try:
        store = dist.TCPStore(
            host, port, count, listening is not None, timeout=_JOINING, wait_for_workers=False,
            master_listen_fd=listening,
        )  # fmt: skip
        store.set(f"here/{number}", "")
        while not store.check([f"here/{each}" for each in range(count)]):
            waiting()
            time.sleep(_LOOK)
        dist.init_process_group(backend, store=store, rank=number, world_size=count, timeout=_PATIENCE)
    except RuntimeError as error:
        raise lost(error) from error
    return Together(dist.group.WORLD, number, count, lost, leave)


def part() -> None:
    """Leave the processes that were joined, which may have ended.

    With GPUs this is left to the end of the process: NCCL may wait there for those that are gone.
    """
    if dist.is_initialized() and dist.get_backend() == "gloo":
        dist.destroy_process_group()
