"""What the benches share: two Envoys that differ in the filter only, a model
that answers at once, and a client with little of its own in the way."""

from __future__ import annotations

import json
import random
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "envoy"))

from envoy import Envoy, Options  # noqa: E402

READY_WITHIN = 120.0
SENTENCES = (Path(__file__).parent / "prose.txt").read_text().splitlines()

# Every pack, at the default level, with the actions a careful operator takes.
PLUGIN = {
    "version": 1,
    "identity": {"required": False},
    "policies": [
        {
            "name": "bench",
            "models": {"allow": ["gpt-4o*"]},
            "quotas": [{"name": "day", "per": "subject", "unit": "tokens", "limit": 10**12, "window": "1d"}],
            "scan": {
                "request": {"injection": "block", "pii": "redact", "secrets": "redact"},
                "response": {"pii": "redact", "secrets": "redact", "exfiltration": "block", "code": "flag"},
            },
        }
    ],
}


def prose(size: int, seed: int) -> str:
    """About `size` bytes of ordinary English."""
    pick = random.Random(seed)
    out: list[str] = []
    length = 0
    while length < size:
        out.append(pick.choice(SENTENCES))
        length += len(out[-1]) + 1
    return " ".join(out)[:size]


def chat_body(size: int, seed: int, **fields) -> bytes:
    """A chat request of about `size` bytes, in turns as an agent sends them."""
    turns = max(1, size // 4096)
    messages = [{"role": "system", "content": "You help the customers of a bicycle shop."}]
    for turn in range(turns):
        role = "assistant" if turn % 2 and turn != turns - 1 else "user"
        messages.append({"role": role, "content": prose(size // turns - 40, seed * 1000 + turn)})
    return json.dumps({"model": "gpt-4o-mini", "messages": messages, **fields}).encode()


def chat_answer(text: str) -> bytes:
    body = json.dumps(
        {
            "id": "chatcmpl-bench",
            "object": "chat.completion",
            "created": 1,
            "model": "gpt-4o-mini",
            "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 20, "completion_tokens": 40, "total_tokens": 60},
        }
    ).encode()
    head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


class Model:
    """An upstream of blocking threads: reads a request to its end and sends the
    same bytes, or what `answer` writes to the connection."""

    def __init__(self, answer: bytes | Callable[[socket.socket], None]) -> None:
        self.answer = answer
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        reader = Reader(connection)
        try:
            while reader.message() is not None:
                if callable(self.answer):
                    self.answer(connection)
                else:
                    connection.sendall(self.answer)
        except OSError:
            pass

    def close(self) -> None:
        self.listener.close()


class Reader:
    """Messages with a length, or in chunks, off one connection."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.left = b""

    def message(self) -> tuple[bytes, int] | None:
        """The head and the number of bytes of the body; nothing at the end."""
        while (end := self.left.find(b"\r\n\r\n")) < 0:
            if not self._more():
                return None
        head, self.left = self.left[: end + 4].lower(), self.left[end + 4 :]
        if b"transfer-encoding: chunked" in head:
            return head, self._chunks()
        at = head.find(b"content-length:")
        size = int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
        have = len(self.left)
        if have >= size:
            self.left = self.left[size:]
            return head, size
        self.left = b""
        view = memoryview(bytearray(1 << 20))
        while have < size:
            got = self.connection.recv_into(view, min(len(view), size - have))
            if not got:
                return None
            have += got
        return head, size

    def _chunks(self) -> int:
        total = 0
        while True:
            while (end := self.left.find(b"\r\n")) < 0:
                if not self._more():
                    raise ConnectionError("the body was cut")
            size = int(self.left[:end], 16)
            while len(self.left) < end + 2 + size + 2:
                if not self._more():
                    raise ConnectionError("the body was cut")
            self.left = self.left[end + 2 + size + 2 :]
            total += size
            if size == 0:
                return total

    def _more(self) -> bool:
        got = self.connection.recv(1 << 18)
        self.left += got
        return bool(got)


class Client:
    """One kept connection to one proxy."""

    def __init__(self, port: int) -> None:
        self.connection = socket.create_connection(("127.0.0.1", port), 60)
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.reader = Reader(self.connection)

    def ask(self, request: bytes) -> float:
        """Seconds from the first byte sent to the last byte of the answer."""
        start = time.perf_counter()
        self.connection.sendall(request)
        got = self.reader.message()
        took = time.perf_counter() - start
        if got is None or b" 200 " not in got[0].split(b"\r\n", 1)[0]:
            raise RuntimeError(f"not answered with 200: {got and got[0][:60]}")
        return took


def post(body: bytes) -> bytes:
    head = (
        "POST /v1/chat/completions HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\n"
        f"content-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def envoy_pair(port: int, plugin: dict | None = None, **options) -> tuple[Envoy, Envoy]:
    """With the filter, and without."""
    ours = Envoy(Options(plugin=plugin or PLUGIN, **options), port, port, ready_within=READY_WITHIN)
    return ours, Envoy(Options(plugin=None, **options), port, port, ready_within=READY_WITHIN)


def percentile(sorted_values: list[float], share: float) -> float:
    """Nearest rank."""
    if not sorted_values:
        raise ValueError("nothing was measured")
    at = min(len(sorted_values) - 1, int(share * len(sorted_values)))
    return sorted_values[at]
