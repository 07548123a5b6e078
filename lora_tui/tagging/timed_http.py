"""Requests of which the whole takes no longer than their time: to connect, to send, and every byte that comes back.

The standard library waits that long for each piece, so a server that sends a byte now and then is waited for without
end, in its headers as in its body.
"""

from __future__ import annotations

import io
import socket
import time
import urllib.request
from functools import partial
from http.client import HTTPConnection, HTTPResponse, HTTPSConnection
from typing import Any


def timed_handlers() -> tuple[urllib.request.BaseHandler, ...]:
    """What opens addresses so, for :func:`urllib.request.build_opener`.

    They need a ``timeout`` (seconds), which is for all of a request; reading after that raises ``TimeoutError``.
    """
    return _Handler(), _SecureHandler()


class _Handler(urllib.request.HTTPHandler):
    def http_open(self, req: urllib.request.Request) -> HTTPResponse:
        return self.do_open(_connect, req)


class _SecureHandler(urllib.request.HTTPSHandler):
    def https_open(self, req: urllib.request.Request) -> HTTPResponse:
        return self.do_open(_connect_securely, req)


class _Until:
    """A connection whose answers are read until a moment."""

    def __init__(self, host: str, *, timeout: float, **options: Any) -> None:
        super().__init__(host, timeout=timeout, **options)  # type: ignore[call-arg]
        self.response_class: Any = partial(_Response, time.monotonic() + timeout)


class _Connection(_Until, HTTPConnection):
    pass


class _SecureConnection(_Until, HTTPSConnection):
    pass


def _connect(host: str, /, **options: Any) -> HTTPConnection:
    return _Connection(host, **options)


def _connect_securely(host: str, /, **options: Any) -> HTTPConnection:
    return _SecureConnection(host, **options)


class _Response(HTTPResponse):
    def __init__(self, end: float, sock: socket.socket, *args: Any, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        self.fp.close()
        self.fp = io.BufferedReader(_Bytes(sock, end))


class _Bytes(io.RawIOBase):
    """What comes from a socket until a moment."""

    def __init__(self, sock: socket.socket, end: float) -> None:
        self._socket, self._end = sock, end
        self._raw = sock.makefile("rb", buffering=0)  # keeps the socket open when its connection lets go of it

    def readable(self) -> bool:
        return True

    def readinto(self, into: Any) -> int | None:
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        self._socket.settimeout(left)
        return self._raw.readinto(into)

    def close(self) -> None:
        self._raw.close()
        super().close()
