"""A real browser without a window, driven by its own protocol: what it shows, as text and image."""

from __future__ import annotations

import asyncio
import base64
import json
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from urllib.request import urlopen

from tornado.websocket import websocket_connect

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

# Bokeh draws in shadow trees, which documents do not show as their own.
TEXT = """(function text(node) {
  if (node.nodeName == 'STYLE' || node.nodeName == 'SCRIPT') return '';
  let found = node.nodeType == 3 ? node.data + ' ' : '';
  if (node.shadowRoot) found += text(node.shadowRoot);
  for (const child of node.childNodes) found += text(child);
  return found;
})(document.body)"""


class Browser:
    """
    Chromium, started once; a context manager.

    Parameters
    ----------
    width, height : int
        Of the window, in pixels.
    """

    def __init__(self, width: int = 1280, height: int = 800) -> None:
        self.size = (width, height)
        self.folder = Path(tempfile.mkdtemp(prefix="chromium-"))
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Browser:
        self.process = subprocess.Popen(
            [
                str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
                "--remote-debugging-port=0", "--remote-allow-origins=*",
                f"--user-data-dir={self.folder}", f"--window-size={self.size[0]},{self.size[1]}",
                "about:blank",
            ],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        return self

    def __exit__(self, *_: object) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def visit(self, address: str, words: str, image: Path, seconds: float = 60.0) -> str:
        """Text of a page as soon as it has these words, and its image; at the latest after that."""
        return asyncio.run(self._visit(address, words, image, seconds))

    async def _visit(self, address: str, words: str, image: Path, seconds: float) -> str:
        page = await websocket_connect(self._target(), max_message_size=2**26)
        n = 0

        async def call(method: str, **parameters: object) -> dict:
            nonlocal n
            n += 1
            await page.write_message(json.dumps({"id": n, "method": method, "params": parameters}))
            while True:
                answer = json.loads(await page.read_message())
                if answer.get("id") == n:
                    return answer["result"]

        width, height = self.size
        await call("Emulation.setDeviceMetricsOverride", width=width, height=height,
                   deviceScaleFactor=1, mobile=False)  # fmt: skip
        await call("Page.navigate", url=address)
        text, end = "", time.monotonic() + seconds
        while words not in text and time.monotonic() < end:
            await asyncio.sleep(0.2)
            found = await call("Runtime.evaluate", expression=TEXT)
            text = " ".join(str(found["result"].get("value", "")).split())
        await asyncio.sleep(0.5)
        shot = await call("Page.captureScreenshot")
        image.write_bytes(base64.b64decode(shot["data"]))
        page.close()
        while await page.read_message() is not None:
            pass  # until it is closed on the other side, too
        return text

    def _target(self) -> str:
        file = self.folder / "DevToolsActivePort"
        for _ in range(600):
            if file.exists() and file.read_text().count("\n") >= 1:
                break
            time.sleep(0.1)
        port = file.read_text().split()[0]
        with urlopen(f"http://127.0.0.1:{port}/json/list", timeout=30) as answer:
            pages = json.load(answer)
        return str(next(p for p in pages if p["type"] == "page")["webSocketDebuggerUrl"])
