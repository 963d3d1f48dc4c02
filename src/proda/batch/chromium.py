"""A headless Chromium without a network, led over its DevTools protocol: open a page, ask it, press keys, look at it.

The protocol: https://chromedevtools.github.io/devtools-protocol/
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import time
from base64 import b64decode
from pathlib import Path
from typing import Any

import websocket

from proda.errors import ProdaError

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
# No request leaves the machine, whether of a page or of the browser itself.
OPTIONS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--remote-debugging-port=0",
)
KEYS = {"Tab": 9, "Enter": 13}
WAIT = 60  # s, for a machine that has other things to do
LOCAL = ("file:", "data:", "blob:", "about:", "chrome:")


class BrowserFailed(ProdaError):
    """The browser did not start, or did not answer."""


def find_browser() -> str | None:
    """The path of a Chromium on this machine, or None."""
    return next((path for path in map(shutil.which, BROWSERS) if path), None)


class Chromium:
    """A running browser with one page.

    with Chromium(find_browser()) as page:
        page.open(path)
        page.ask("document.title")

    Attributes
    ----------
    requests : list of str
        Addresses that the page opened last asked the network for.
    errors : list of str
        What its scripts threw, and what the browser reported as an error.
    """

    def __init__(self, program: str):
        self.program = program
        self.requests: list[str] = []
        self.errors: list[str] = []
        self._number = 0
        self._session: str | None = None
        self._seen: set[str] = set()

    def __enter__(self) -> Chromium:
        self._folder = tempfile.TemporaryDirectory(prefix="proda-browser-", ignore_cleanup_errors=True)
        command = [self.program, *OPTIONS, f"--user-data-dir={self._folder.name}", "about:blank"]
        # What it leaves behind goes with the folder.
        place = {**os.environ, "TMPDIR": self._folder.name}
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self._process = subprocess.Popen(command, env=place, **quiet)
        try:
            self._socket = websocket.create_connection(self._address(), timeout=WAIT, suppress_origin=True)
            target = self._call("Target.createTarget", url="about:blank")["targetId"]
            self._session = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
            for domain in ("Page", "Network", "Runtime", "Log"):
                self._call(f"{domain}.enable")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if hasattr(self, "_socket"):
            self._socket.close()
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._folder.cleanup()

    def resize(self, width: int, height: int) -> None:
        """Give the page a screen of so many pixels; one under 600 wide is a phone's."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self._call("Emulation.setDeviceMetricsOverride", **size)
        self.ask("new Promise(done => requestAnimationFrame(() => setTimeout(done, 50)))")

    def open(self, path: Path, query: str = "") -> None:
        """Open the page at `path` from the file system and wait until it is loaded and its mathematics are set."""
        self.requests, self.errors = [], []
        self._seen.clear()
        self._call("Page.navigate", url=path.resolve().as_uri() + query)
        self._until(lambda: "Page.loadEventFired" in self._seen)
        self.ask("window.MathJax?.startup?.promise?.then(() => true)")

    def ask(self, expression: str) -> Any:
        """The value of a JavaScript expression in the page; that of a promise when it has one."""
        answer = self._call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in answer:
            raise BrowserFailed(f"the page could not tell {expression!r}: {_thrown(answer['exceptionDetails'])}")
        return answer["result"].get("value")

    def press(self, key: str) -> None:
        """Press a key of the keyboard: "Tab" or "Enter"."""
        told = {"key": key, "code": key, "windowsVirtualKeyCode": KEYS[key], "text": "\r" if key == "Enter" else ""}
        self._call("Input.dispatchKeyEvent", type="keyDown", **told)
        self._call("Input.dispatchKeyEvent", type="keyUp", **told)

    def picture(self, path: Path) -> Path:
        """Write what the screen shows to a PNG file."""
        path.write_bytes(b64decode(self._call("Page.captureScreenshot", format="png")["data"]))
        return path

    def _address(self) -> str:
        """Where the browser listens; it writes that into its folder when it is ready."""
        file, end = Path(self._folder.name, "DevToolsActivePort"), time.monotonic() + WAIT
        while time.monotonic() < end and self._process.poll() is None:
            lines = file.read_text().split() if file.is_file() else []
            if len(lines) == 2:
                return f"ws://127.0.0.1:{lines[0]}{lines[1]}"
            time.sleep(0.05)
        raise BrowserFailed(f"{self.program} did not start within {WAIT} s (exit code {self._process.poll()})")

    def _call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        self._socket.send(json.dumps(message))
        while (answer := self._next()).get("id") != message["id"]:
            pass
        if "error" in answer:
            raise BrowserFailed(f"{method}: {answer['error']['message']}")
        return answer["result"]

    def _until(self, done: Any) -> None:
        while not done():
            self._next()

    def _next(self) -> dict[str, Any]:
        """The next message of the browser, what it tells of the page noted."""
        try:
            message = json.loads(self._socket.recv())
        except websocket.WebSocketTimeoutException as error:
            raise BrowserFailed(f"{self.program} said nothing for {WAIT} s") from error
        event, told = message.get("method", ""), message.get("params", {})
        self._seen.add(event)
        if event == "Network.requestWillBeSent" and not told["request"]["url"].startswith(LOCAL):
            self.requests.append(told["request"]["url"])
        elif event == "Runtime.exceptionThrown":
            self.errors.append(_thrown(told["exceptionDetails"]))
        elif event == "Log.entryAdded" and told["entry"]["level"] == "error":
            self.errors.append(f"{told['entry']['text']} {told['entry'].get('url', '')}".strip())
        elif event == "Runtime.consoleAPICalled" and told["type"] == "error":
            self.errors.append(" ".join(str(item.get("value", item.get("description"))) for item in told["args"]))
        return message


def _thrown(details: dict[str, Any]) -> str:
    return details.get("exception", {}).get("description", details["text"]).splitlines()[0]
