"""A headless Chromium for tests, spoken to in its own DevTools protocol: no driver and no further package is needed."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import json
import os
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_START_SECONDS = 60


def chromium() -> str:
    """Chromium's path; a visible skip where it is not installed, a failure in CI."""
    found = next((path for name in _NAMES if (path := shutil.which(name))), None)
    if found is None:
        message = "Chromium is not installed: install the package chromium to test the page"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    return str(found)


class Tab:
    """One tab."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket, self._numbers = socket, itertools.count(1)
        self.events: list[dict[str, Any]] = []

    async def send(self, method: str, **parameters: Any) -> Any:
        number = next(self._numbers)
        await self._socket.send_json({"id": number, "method": method, "params": parameters})
        while True:
            message = json.loads((await self._socket.receive(timeout=30)).data)
            if message.get("id") == number:
                assert "error" not in message, message["error"]
                return message["result"]
            self.events.append(message)

    async def run(self, script: str) -> Any:
        """The value of a JavaScript expression, promises awaited."""
        result = await self.send("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    async def until(self, script: str, seconds: float = 30) -> None:
        """Wait until an expression is true."""
        try:
            async with asyncio.timeout(seconds):
                while not await self.run(script):
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise AssertionError(f"not true within {seconds} s: {script}") from None

    async def key(self, key: str) -> None:
        text = {"Enter": "\r", " ": " "}.get(key, "")
        code = {"Enter": 13, "Tab": 9, " ": 32}[key]
        for kind in ("keyDown", "keyUp"):
            facts = {"key": key, "text": text if kind == "keyDown" else "", "windowsVirtualKeyCode": code}
            await self.send("Input.dispatchKeyEvent", type=kind, **facts)

    async def screenshot(self, path: Path) -> None:
        result = await self.send("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(result["data"]))


@contextlib.asynccontextmanager
async def open_tab(
    url: str, profile: Path, *, width_px: int = 1200, height_px: int = 900, dark: bool = False
) -> AsyncIterator[Tab]:
    """A fresh browser with one tab at `url`; ended at the end."""
    command = [
        chromium(), "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync", "--remote-debugging-port=0",
        "--remote-allow-origins=*", f"--user-data-dir={profile}", f"--window-size={width_px},{height_px}", "about:blank",
    ]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        async with aiohttp.ClientSession() as session:
            port = await _port(profile, process)
            async with session.get(f"http://127.0.0.1:{port}/json") as response:
                tabs = [one for one in await response.json(content_type=None) if one["type"] == "page"]
            async with session.ws_connect(tabs[0]["webSocketDebuggerUrl"], max_msg_size=0) as socket:
                tab = Tab(socket)
                for domain in ("Page", "Runtime", "Network", "Log", "DOM"):
                    await tab.send(f"{domain}.enable")
                size = {"width": width_px, "height": height_px, "deviceScaleFactor": 1, "mobile": False}
                await tab.send("Emulation.setDeviceMetricsOverride", **size)
                scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
                await tab.send("Emulation.setEmulatedMedia", features=[scheme])
                await tab.send("Page.navigate", url=url)
                await tab.until("document.readyState === 'complete'")
                yield tab
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


async def _port(profile: Path, process: subprocess.Popen[bytes]) -> int:
    """The port that Chromium has chosen, which it writes into its profile."""
    async with asyncio.timeout(_START_SECONDS):
        while True:
            with contextlib.suppress(OSError, ValueError, IndexError):
                return int((profile / "DevToolsActivePort").read_text().splitlines()[0])
            assert process.poll() is None, "Chromium ended at once"
            await asyncio.sleep(0.05)
