"""A headless Chromium, driven through chromedriver by the WebDriver protocol
(W3C WebDriver, Level 2): the few commands that tests need."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
import tempfile
import time
import urllib.request

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
# Not as root without it, nor in a container without user namespaces.
FLAGS = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--window-size=1000,1000"]


class Browser:
    """One window with a profile of its own."""

    def __init__(self) -> None:
        driver, chromium = shutil.which("chromedriver"), shutil.which("chromium") or shutil.which("google-chrome")
        assert driver and chromium, "apt-get install chromium chromium-driver"
        self.profile = tempfile.TemporaryDirectory(prefix="chromium-")
        self.process = subprocess.Popen([driver, "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        for line in self.process.stdout:
            if found := re.search(r"started successfully on port (\d+)", line):
                self.base = f"http://127.0.0.1:{found[1]}/session"
                break
        else:
            raise AssertionError("chromedriver did not start")
        options = {"binary": chromium, "args": [*FLAGS, f"--user-data-dir={self.profile.name}"]}
        always = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
        self.base += "/" + self.call("POST", "", {"capabilities": {"alwaysMatch": always}})["sessionId"]

    def call(self, method: str, path: str, body: dict | None = None):
        data = None if method == "GET" else json.dumps(body or {}).encode()
        request = urllib.request.Request(self.base + path, data, {"content-type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as e:
            raise AssertionError(json.load(e)["value"]["message"]) from e

    def stop(self) -> None:
        try:
            self.call("DELETE", "")
        finally:
            self.process.terminate()
            self.process.wait(10)
            self.process.stdout.close()
            # Chromium may still be writing to it.
            shutil.rmtree(self.profile.name, ignore_errors=True)

    def open(self, url: str) -> None:
        self.call("POST", "/url", {"url": url})

    def all(self, css: str) -> list[str]:
        found = self.call("POST", "/elements", {"using": "css selector", "value": css})
        return [element[ELEMENT] for element in found]

    def text(self, css: str) -> str:
        return "\n".join(self.call("GET", f"/element/{element}/text") for element in self.all(css))

    def click(self, css: str) -> None:
        self.call("POST", f"/element/{self.one(css)}/click")

    def type(self, css: str, text: str) -> None:
        self.call("POST", f"/element/{self.one(css)}/value", {"text": text})

    def one(self, css: str) -> str:
        found = self.all(css)
        assert len(found) == 1, f"{len(found)} elements match {css}"
        return found[0]

    def run(self, script: str, *args):
        return self.call("POST", "/execute/sync", {"script": script, "args": list(args)})

    def wait(self, condition, what: str, timeout: float = 15.0) -> None:
        until = time.monotonic() + timeout
        while not condition():
            assert time.monotonic() < until, f"waited {timeout} s for {what}"
            time.sleep(0.05)

    def console(self) -> list[dict]:
        """What the browser complained about since the last look."""
        return self.call("POST", "/se/log", {"type": "browser"})

    def picture(self, path: str) -> None:
        with open(path, "wb") as file:
            file.write(base64.b64decode(self.call("GET", "/screenshot")))
