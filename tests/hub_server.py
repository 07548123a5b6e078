"""A model hub on loopback: serves folders as repositories, in the few answers that its own library asks for."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

from loopback import Loopback, Quiet, while_it_serves

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub(Loopback):
    """Repositories by name, and what happens with the others.

    Attributes:
        gated: names whose files are given to nobody.
        silent: names of which nothing is answered until the test is over.
        asked: requests in the order in which they came, such as ``GET /owner/model/resolve/main/x.json``.
    """

    def __init__(self, folders: Mapping[str, Path], gated: tuple[str, ...], silent: tuple[str, ...]) -> None:
        super().__init__(_Handler)
        self.folders, self.gated, self.silent = folders, gated, silent
        self.asked: list[str] = []

    @property
    def endpoint(self) -> str:
        return self.url


class _Handler(Quiet, BaseHTTPRequestHandler):
    server: Hub

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        self.server.asked.append(f"{self.command} {self.path}")
        path = self.path.partition("?")[0].removeprefix("/api/models")
        _slash, owner, model, *rest = path.split("/")
        name = f"{owner}/{model}"
        if name in self.server.silent:
            self.server.ended.wait(60)
        if name in self.server.gated:
            self._send(403, b"", {"X-Error-Code": "GatedRepo"}, body)
            return
        folder = self.server.folders.get(name)
        if folder is None:
            self._send(404, b"", {"X-Error-Code": "RepoNotFound"}, body)
        elif rest[:1] == ["resolve"]:
            data = folder.joinpath(*rest[2:]).read_bytes()
            etag = hashlib.sha256(data).hexdigest()
            self._send(200, data, {"ETag": f'"{etag}"', "X-Repo-Commit": COMMIT}, body)
        else:
            files = [
                {"type": "file", "path": name, "rfilename": name, "size": path.stat().st_size, "oid": COMMIT}
                for path in sorted(folder.rglob("*"))
                if path.is_file() and (name := path.relative_to(folder).as_posix())
            ]
            told: Any = files if rest[:1] == ["tree"] else {"id": name, "sha": COMMIT, "siblings": files}
            self._send(200, json.dumps(told).encode(), {"Content-Type": "application/json"}, body)

    def _send(self, status: int, data: bytes, headers: dict[str, str], body: bool) -> None:
        self.send_response(status)
        for key, value in {**headers, "Content-Length": str(len(data))}.items():
            self.send_header(key, value)
        self.end_headers()
        if body:
            self.wfile.write(data)


@contextmanager
def hub_of(folders: Mapping[str, Path], *, gated: tuple[str, ...] = (), silent: tuple[str, ...] = ()) -> Iterator[Hub]:
    """A hub while the block lasts."""
    server = Hub(folders, gated, silent)
    with while_it_serves(server):
        yield server
