"""What the demo plays on: three scripted models, and a stock Envoy with the
filter between them and the client."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests" / "envoy"), str(ROOT / "scripts")]

from client import Http1, Response  # noqa: E402
from render import render  # noqa: E402
from sign import base64url, sign  # noqa: E402
from upstream import Delay, Recorded, Reply, Upstream, chat_reply, chat_stream  # noqa: E402

# V8 compiles the module before Envoy listens; on a busy machine that takes a while.
READY_WITHIN = 120.0
MODELS = ("primary", "secondary", "quarantine")


class Paced(list):
    """Parts of a stream, sent one by one, with the times they left."""

    def __init__(self, parts: list, pause: float) -> None:
        super().__init__(parts)
        self.pause = pause
        self.sent_at: list[float] = []

    def __iter__(self) -> Iterator:
        self.sent_at = []
        for number, part in enumerate(super().__iter__()):
            if number:
                yield Delay(self.pause)
            self.sent_at.append(time.monotonic())
            yield part


@dataclass
class Exchange:
    """One request, from all sides. `seen` are the models' requests by cluster."""

    sent: bytes
    answer: Response
    line: dict
    seen: list[tuple[str, Recorded]]
    started: float

    @property
    def audit(self) -> dict:
        return self.line["audit"] or {}


class Stage:
    """Everything that runs. `close()` ends all of it."""

    def __init__(self, config: Path) -> None:
        self.config = config
        self.folder = Path(tempfile.mkdtemp(prefix="portcullis-demo-"))
        self.log_path = self.folder / "envoy.log"
        self.access_log = self.folder / "access.log"
        self.key = secrets.token_bytes(32)
        self.models = {name: Upstream() for name in MODELS}
        self.process: subprocess.Popen | None = None
        self._lines = 0
        try:
            self._start()
        except BaseException:
            self.close()
            raise

    def _start(self) -> None:
        ports = {f"{name.upper()}_PORT": model.port for name, model in self.models.items()}
        text = render(
            self.config.read_text(),
            MODULE=os.environ["PORTCULLIS_WASM"],
            ACCESS_LOG=self.access_log,
            JWT_KEY=base64url(self.key),
            # Free ports of the kernel's choice: the demo runs beside anything.
            LISTENER_PORT=0,
            ADMIN_PORT=0,
            **ports,
        )
        config = self.folder / "envoy.yaml"
        config.write_text(text)
        flags = f"--concurrency 2 --disable-hot-restart --file-flush-interval-msec 20 -l info --log-path {self.log_path}"
        self.process = subprocess.Popen(
            [os.environ["ENVOY"], "-c", str(config), "--admin-address-path", str(self.folder / "admin"), *flags.split()],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            # Ctrl-C is for the demo, which then ends Envoy.
            start_new_session=True,
        )
        self._wait_ready()

    def _wait_ready(self) -> None:
        until = time.monotonic() + READY_WITHIN
        while time.monotonic() < until and self.process.poll() is None:
            try:
                self.admin = (self.folder / "admin").read_text().strip()
                if self.get("/ready").strip() == "LIVE":
                    state = json.loads(self.get("/listeners?format=json"))["listener_statuses"][0]
                    self.port = state["local_address"]["socket_address"]["port_value"]
                    self.version = self.get("/server_info").partition('"version": "')[2].split("/")[1]
                    return
            except (OSError, ValueError, KeyError, IndexError):
                pass
            time.sleep(0.02)
        log = self.log_path.read_text(errors="replace") if self.log_path.exists() else ""
        # A pattern is refused on several lines, up to the next line of Envoy's own.
        refused = re.search(r"portcullis: (configuration refused: .*(?:\n(?!\[\d{4}-).*)*)", log)
        if refused:
            raise SystemExit(f"demo: {self.config}: {refused[1].rstrip()}")
        raise SystemExit(f"demo: Envoy did not start; the end of its log:\n{log[-3000:]}")

    def get(self, path: str) -> str:
        with urllib.request.urlopen(f"http://{self.admin}{path}", timeout=10) as answer:
            return answer.read().decode()

    def token(self, subject: str, group: str) -> str:
        """A token as an identity provider would sign it."""
        return sign(subject, [group], self.key)

    def ask(self, body: bytes, who: tuple[str, str] | None) -> Exchange:
        """Send a chat completion request, and gather what all sides saw."""
        before = {name: len(model.requests) for name, model in self.models.items()}
        headers = [("content-type", "application/json")]
        if who:
            headers.append(("authorization", "Bearer " + self.token(*who)))
        with Http1(self.port) as connection:
            answer = connection.request("POST", "/v1/chat/completions", body, headers=headers)
            # Zero of the times of the answer's pieces.
            started = connection.sent_at
        line = self._next_line()
        seen = [(name, r) for name, model in self.models.items() for r in model.requests[before[name] :]]
        return Exchange(body, answer, line, sorted(seen, key=lambda pair: pair[1].at), started)

    def _next_line(self) -> dict:
        until = time.monotonic() + 10
        while time.monotonic() < until:
            text = self.access_log.read_text(errors="replace") if self.access_log.exists() else ""
            # A line is whole only with its line feed.
            lines = text.split("\n")[:-1]
            if len(lines) > self._lines:
                self._lines += 1
                return json.loads(lines[self._lines - 1].replace('{"audit":-,', '{"audit":null,'))
            time.sleep(0.005)
        raise SystemExit("demo: Envoy wrote no access-log line for a request")

    def faults(self) -> list[str]:
        """Signs that a VM crashed or that a model's script failed."""
        log = self.log_path.read_text(errors="replace")
        found = [line for line in log.splitlines() if "[wasm]" in line and "[critical]" in line]
        found += [f"model {name}: {model.failure!r}" for name, model in self.models.items() if model.failure]
        if self.process.poll() is not None:
            found.append(f"Envoy ended with {self.process.returncode}")
        return found

    def close(self) -> None:
        self._stop_models()
        if self.process is not None:
            stop_process(self.process)
        shutil.rmtree(self.folder, ignore_errors=True)

    def hand_over(self) -> int:
        """Leave everything running in the care of a process of its own, and
        return that process's id; terminating it ends all."""
        ports = [str(model.port) for model in self.models.values()]
        # Their ports are taken over.
        self._stop_models()
        keeper = subprocess.Popen(
            [sys.executable, __file__, str(self.process.pid), str(self.folder), *ports],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        until = time.monotonic() + 10
        while not (self.folder / "kept").exists():
            if keeper.poll() is not None or time.monotonic() > until:
                stop_process(keeper)
                self.close()
                raise SystemExit("demo: what --keep leaves behind could not be started")
            time.sleep(0.02)
        return keeper.pid

    def _stop_models(self) -> None:
        models, self.models = self.models, {}
        for model in models.values():
            model.stop()


def stop_process(process: subprocess.Popen) -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def fault(status: int, message: str) -> Reply:
    kind = "invalid_request_error" if status == 400 else "not_implemented"
    return Reply.json({"error": {"message": message, "type": kind, "param": None, "code": kind}}, status=status)


def echo(request: Recorded) -> Reply:
    """A model that repeats what it was asked: the demo's visitor sees the mask."""
    if request.method != "POST" or not request.path.split("?")[0].endswith("/chat/completions"):
        return fault(501, "the demo's model speaks chat completions only")
    try:
        body = request.json()
        content = body["messages"][-1].get("content")
    except (ValueError, LookupError, TypeError, AttributeError):
        return fault(400, "the demo's model found no message in the request")
    text = "The model read: " + (content if isinstance(content, str) else json.dumps(content, ensure_ascii=False))
    if body.get("stream"):
        reply = chat_stream([text[i : i + 6] for i in range(0, len(text), 6)], tokens=(20, 10))
        reply.parts = Paced(reply.parts, 0.05)
        return reply
    return chat_reply(text, prompt=20, completion=10)


def keep(envoy: int, folder: Path, ports: list[int]) -> None:
    """Serve the models until told to end; then end Envoy too."""
    models = [Upstream(port) for port in ports]
    for model in models:
        model.script = echo
    (folder / "kept").write_text(str(os.getpid()))
    try:
        # Envoy is no child of this process: it is gone when signal 0 fails.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        while True:
            os.kill(envoy, 0)
            time.sleep(0.5)
    except ProcessLookupError:
        return
    finally:
        for model in models:
            model.stop()
        try:
            os.kill(envoy, signal.SIGTERM)
        except ProcessLookupError:
            pass
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    keep(int(sys.argv[1]), Path(sys.argv[2]), [int(port) for port in sys.argv[3:]])
