"""A headless Chromium for all tests of a session, driven by the DevTools protocol.

A test that uses `browser` is marked `@pytest.mark.needs("chromium")`.
"""

from __future__ import annotations

import base64
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import pytest
from websockets.sync.client import ClientConnection, connect

from tests.support.fakes import TIMEOUT_SECONDS
from tests.support.programs import get_program

FLAGS = (
    "--headless=new",
    "--no-sandbox",  # as root, in a container
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-extensions",
    "--disable-sync",
    "--no-first-run",
    "--hide-scrollbars",
    "--force-color-profile=srgb",
    "--remote-debugging-port=0",
)
MAX_MESSAGE_BYTES = 64 * 2**20


class BrowserError(Exception):
    """The browser refused a command, or a script in the page failed."""


@dataclass
class Page:
    """An open page.

    Attributes:
        status: of the answer; 0 if there was none.
        errors: messages on the console that are errors, uncaught exceptions and violations of the CSP.
        requests: URLs that were asked for, the page's own first.
        blocked: URLs that were asked for and did not come, with the reason.
        dialogs: texts of alerts, which a hostile script opens to show that it runs.
    """

    _browser: Browser
    _session: str
    _target: str
    status: int = 0
    errors: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    blocked: list[str] = field(default_factory=list)
    dialogs: list[str] = field(default_factory=list)
    _urls: dict[str, str] = field(default_factory=dict)  # by the number of the request
    _loaded: bool = False

    @property
    def text(self) -> str:
        """Visible text."""
        return str(self.evaluate("document.body ? document.body.innerText : ''"))

    @property
    def html(self) -> str:
        """The document as the browser has it now."""
        return str(self.evaluate("document.documentElement.outerHTML"))

    def evaluate(self, expression: str) -> Any:
        """Value of a JavaScript expression, a promise's included; also where the CSP forbids scripts."""
        answer = self._call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise BrowserError(answer["exceptionDetails"]["exception"].get("description", "it failed"))
        return answer["result"].get("value")

    def wait_for(self, expression: str) -> Any:
        """Value of a JavaScript expression once it is true."""
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while not (value := self.evaluate(expression)):
            assert time.monotonic() < deadline, f"{expression} is {value!r}; errors: {self.errors}"
            time.sleep(0.02)
        return value

    def resize(self, width: int, height: int = 900, *, dark: bool = False) -> None:
        """Show the page in a window of this size, in the light or the dark scheme of colours."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self._call("Emulation.setDeviceMetricsOverride", **size)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._call("Emulation.setEmulatedMedia", features=[scheme])

    def screenshot(self, path: Path, width: int = 1280, *, dark: bool = False) -> Path:
        """Write a PNG of the whole page."""
        self.resize(width, dark=dark)
        shot = self._call("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))
        return path

    def press(self, key: str) -> str:
        """Press a key, such as `Tab`; returns the text of the element that has the focus then."""
        codes = {"Tab": 9, "Enter": 13}
        parameters = {"key": key, "code": key, "windowsVirtualKeyCode": codes[key]}
        text = {"text": "\r"} if key == "Enter" else {}
        self._call("Input.dispatchKeyEvent", type="keyDown", **parameters, **text)
        self._call("Input.dispatchKeyEvent", type="keyUp", **parameters)
        return str(self.evaluate("document.activeElement.innerText"))

    def accessible(self) -> list[tuple[str, str]]:
        """Role and name of each node of the accessibility tree, as a screen reader gets them."""
        nodes = self._call("Accessibility.getFullAXTree")["nodes"]
        return [
            (node["role"]["value"], node.get("name", {}).get("value", ""))
            for node in nodes
            if not node.get("ignored")
        ]

    def _load(self, url: str, headers: Mapping[str, str], width: int, *, dark: bool) -> None:
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._call(f"{domain}.enable")
        if headers:
            self._call("Network.setExtraHTTPHeaders", headers=dict(headers))
        self.resize(width, dark=dark)
        answer = self._call("Page.navigate", url=url)
        if "errorText" in answer:
            raise BrowserError(f"{url}: {answer['errorText']}")
        self._browser.listen(lambda: self._loaded)

    def _call(self, method: str, **parameters: Any) -> dict[str, Any]:
        return self._browser.call(method, self._session, **parameters)

    def take(self, method: str, event: Mapping[str, Any]) -> None:
        """Take an event of the browser over."""
        match method:
            case "Page.loadEventFired":
                self._loaded = True
            case "Page.javascriptDialogOpening":
                self.dialogs.append(event["message"])
                self._browser.send("Page.handleJavaScriptDialog", self._session, accept=True)
            case "Network.requestWillBeSent":
                self._urls[event["requestId"]] = event["request"]["url"]
                self.requests.append(event["request"]["url"])
            case "Network.responseReceived" if event["type"] == "Document" and not self.status:
                self.status = event["response"]["status"]
            case "Network.loadingFailed":
                reason = event.get("blockedReason") or event["errorText"]
                self.blocked.append(f"{self._urls.get(event['requestId'], '')} {reason}".strip())
            case "Log.entryAdded" if event["entry"]["level"] == "error":
                self.errors.append(event["entry"]["text"])
            case "Runtime.exceptionThrown":
                thrown = event["exceptionDetails"]
                self.errors.append(thrown.get("exception", {}).get("description", thrown["text"]))
            case "Runtime.consoleAPICalled" if event["type"] == "error":
                self.errors.append(" ".join(str(each.get("value", "")) for each in event["args"]))


class Browser:
    """A running Chromium."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._number = 0
        self._pages: dict[str, Page] = {}

    @contextmanager
    def open(
        self, url: str, *, width: int = 1280, dark: bool = False, headers: Mapping[str, str] | None = None
    ) -> Iterator[Page]:
        """Open a page, without cookies of others, and close it afterwards.

        Args:
            url: of the page, which is loaded when this returns.
            width: of the window, in pixels.
            dark: whether dark colours are preferred.
            headers: of all requests of the page.

        Raises:
            BrowserError: there is no answer.
        """
        context = self.call("Target.createBrowserContext")["browserContextId"]
        try:
            target = self.call("Target.createTarget", url="about:blank", browserContextId=context)["targetId"]
            session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
            page = self._pages[session] = Page(self, session, target)
            page._load(url, headers or {}, width, dark=dark)
            yield page
            del self._pages[session]
        finally:
            self.call("Target.disposeBrowserContext", browserContextId=context)

    def send(self, method: str, session: str = "", **parameters: Any) -> int:
        """Send a command without waiting for its answer; returns its number."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        self._connection.send(orjson.dumps(message | ({"sessionId": session} if session else {})).decode())
        return self._number

    def call(self, method: str, session: str = "", **parameters: Any) -> dict[str, Any]:
        """Answer of a command; events that come before it are given to their pages.

        Raises:
            BrowserError: the command failed.
        """
        number = self.send(method, session, **parameters)
        while (message := self._receive()).get("id") != number:
            pass
        if "error" in message:
            raise BrowserError(f"{method}: {message['error']['message']}")
        return dict(message["result"])

    def listen(self, until: Callable[[], bool]) -> None:
        """Take events until something is true."""
        while not until():
            self._receive()

    def _receive(self) -> dict[str, Any]:
        message: dict[str, Any] = orjson.loads(self._connection.recv(timeout=TIMEOUT_SECONDS))
        page = self._pages.get(message.get("sessionId", ""))
        if page is not None and "method" in message:
            page.take(message["method"], message["params"])
        return message


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """A headless Chromium."""
    # Its processes may write for a moment after the first one has ended.
    with tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True) as profile:
        command = [get_program("chromium"), *FLAGS, f"--user-data-dir={profile}", "about:blank"]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            port, path = _address(process, Path(profile) / "DevToolsActivePort")
            with connect(
                f"ws://127.0.0.1:{port}{path}", max_size=MAX_MESSAGE_BYTES, compression=None
            ) as connection:
                yield Browser(connection)
        finally:
            process.terminate()
            process.wait(TIMEOUT_SECONDS)


def _address(process: subprocess.Popen[bytes], file: Path) -> tuple[str, str]:
    """Port and path of the browser's own socket, which it writes to a file."""
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while not file.exists() or len(lines := file.read_text().split()) < 2:
        assert process.poll() is None, "Chromium ended"
        assert time.monotonic() < deadline, "Chromium does not answer"
        time.sleep(0.02)
    return lines[0], lines[1]
