"""The app in a browser, spoken to as a browser does."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow


async def drive(base: str, address: str) -> bytes:
    """What the app paints, once everybody who has no business there was refused."""
    import aiohttp

    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as browser:
        assert (await browser.get(base)).status == 403
        assert (await browser.get(base + "?token=wrong")).status == 403
        assert (await browser.get(base + "ws")).status == 403
        page = await browser.get(address)
        text = await page.text()
        assert page.status == 200 and "token" not in str(page.url)
        assert "fonts" not in page.headers["Content-Security-Policy"].partition(";")[0]
        assert f"ws://{page.url.host}:{page.url.port}/ws" in text
        assert (await browser.get(base, headers={"Origin": "http://evil.example"})).status == 403
        assert (await browser.get(base, headers={"Host": "evil.example"})).status == 403
        painted = b""
        async with browser.ws_connect(base + "ws?width=80&height=24") as socket:
            async with asyncio.timeout(60):
                while b"Parameters" not in painted:
                    message = await socket.receive()
                    painted += message.data if isinstance(message.data, bytes) else b""
        return painted


def test_the_app_is_served_to_whoever_has_the_address_and_to_nobody_else(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "lora_tui", "serve", str(tmp_path), "--port", "0"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "TMUX": "/tmp/none,1,0"})
    try:
        assert server.stdout is not None
        found = re.search(r"(http://127\.0\.0\.1:\d+/)\?token=\S+", server.stdout.readline())
        assert found is not None
        address = found[0].rstrip(".")
        painted = asyncio.run(drive(found[1], address))
        assert b"\x1bPtmux" not in painted
    finally:
        server.terminate()
        assert server.wait(30) == 0
