"""Where the processes that a launcher started come together: the first one listens, the others come to it.

They find it by the launcher's store (``env://`` of ``torch.distributed``), which tells where it listens and a token
that each has to show. On one machine nothing of this listens but on the loopback device. As with ``torch.distributed``
itself, whoever can write to the launcher's store is trusted: the network between several machines has to be one's own.
"""

from __future__ import annotations

import contextlib
import datetime
import hmac
import json
import secrets
import socket
import threading

import torch.distributed as dist

from lora_tui.errors import UserError
from lora_tui.jobs.launcher import Launched
from lora_tui.text import _
from lora_tui.trainer.members import Guest, hold

_KEY = "lora-tui/first"
_WAITING = datetime.timedelta(days=2)  # for the first one, which checks a dataset before it listens
_ANSWERING = datetime.timedelta(minutes=5)
_SECONDS = 10.0  # that one may take to say who it is
_LONGEST = 512  # bytes of that


class Reception:
    """The first process's door; :meth:`close` it."""

    def __init__(self, place: Launched) -> None:
        """Listen and say where.

        Raises:
            UserError: the launcher does not answer, or there is no listening at its address.
        """
        self._place = place
        self._token = secrets.token_hex(16)
        self._guests: dict[int, Guest] = {}
        self._changed = threading.Condition()
        self._closed = False
        try:
            self._listening = socket.create_server((place.host, 0), family=_family(place.host))
            self._store = _store(place, _ANSWERING)
            told = [place.host, self._listening.getsockname()[1], self._token]
            self._store.set(_KEY, json.dumps(told))
        except (OSError, RuntimeError) as error:
            raise _unreachable(place, error) from error
        threading.Thread(target=self._receive, name="reception", daemon=True).start()

    def guest(self, number: int) -> Guest | None:
        """The process of that number, waited for; none once the door is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or number in self._guests)
            return self._guests.get(number)

    def close(self) -> None:
        """Receive nobody any more, and let all go that came."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            guests = [*self._guests.values()]
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)  # wakes the thread that waits there
        self._listening.close()
        for guest in guests:
            guest.release()

    def _receive(self) -> None:
        while True:
            try:
                link, _address = self._listening.accept()
            except OSError:  # closed
                return
            number = self._introduced(link)
            with self._changed:
                if self._closed or not 0 < number < self._place.count or number in self._guests:
                    link.close()
                    continue
                hold(link)
                self._guests[number] = Guest(number, link)
                self._changed.notify_all()

    def _introduced(self, link: socket.socket) -> int:
        """The number of the process at the other end; 0, which is none of them, where it knows no token."""
        text = b""
        try:
            link.settimeout(_SECONDS)
            while not text.endswith(b"\n") and len(text) < _LONGEST:
                part = link.recv(_LONGEST)
                if not part:
                    return 0
                text += part
            token, number = json.loads(text)
            return int(number) if hmac.compare_digest(str(token), self._token) else 0
        except (OSError, ValueError, TypeError):
            return 0


def come(place: Launched) -> socket.socket:
    """The line of another process to the first one, which has let it in.

    Raises:
        UserError: the launcher or the first process does not answer.
    """
    try:
        store = _store(place, _WAITING)
        store.wait([_KEY], _WAITING)
        host, port, token = json.loads(store.get(_KEY))
        link = socket.create_connection((host, port), timeout=_SECONDS)
        hold(link)
        link.sendall(json.dumps([token, place.number]).encode() + b"\n")
    except (OSError, RuntimeError, ValueError) as error:
        raise _unreachable(place, error) from error
    return link


def _store(place: Launched, patience: datetime.timedelta) -> dist.Store:
    """The launcher's store; where it has none the first process holds it, and waits here for the others."""
    found = dist.rendezvous("env://", place.number, place.count, timeout=patience)
    store, _number, _count = next(iter(found))
    return store


def _family(host: str) -> socket.AddressFamily:
    return socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0][0]


def _unreachable(place: Launched, error: Exception) -> UserError:
    return UserError(
        _("the processes that were launched together do not find each other: {reason}.").format(
            reason=str(error).splitlines()[0][:200].rstrip(".")
        ),
        place=f"MASTER_ADDR {place.address}",
        remedy=_("It has to be the address of the machine with process 0, and other machines must be let through."),
        code="launcher.unreachable",
    )
