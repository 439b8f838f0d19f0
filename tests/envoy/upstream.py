"""A model server that does exactly what a test says, byte by byte.

It speaks HTTP/1.1 without a library, because a library would hide what tests
are about: chunk borders, pauses, resets, trailers and broken framing. Every
request is recorded as it arrived, before any answer is written.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

Header = tuple[str, str]
LATIN1 = "latin-1"


@dataclass
class Delay:
    """Let this many seconds pass before the next part."""

    seconds: float


class Reset:
    """Drop the connection with a TCP reset."""


@dataclass
class Hold:
    """Wait until the test sets this event."""

    event: threading.Event = field(default_factory=threading.Event)


@dataclass
class Reached:
    """Set this event: everything before was written."""

    event: threading.Event = field(default_factory=threading.Event)


Part = bytes | Delay | Reset | Hold | Reached


@dataclass
class Reply:
    """One scripted answer. `parts` are written one by one: each `bytes` is one
    HTTP chunk and one write to the socket. `framing` is `length`, `chunked`
    or `close`; with `close` the connection's end ends the body."""

    status: int = 200
    headers: list[Header] = field(default_factory=list)
    parts: list[Part] = field(default_factory=list)
    framing: str = "length"
    trailers: list[Header] = field(default_factory=list)

    @classmethod
    def json(cls, value: object, status: int = 200, headers: Iterable[Header] = ()) -> Reply:
        body = value if isinstance(value, bytes) else json.dumps(value).encode()
        return cls(status, [("content-type", "application/json"), *headers], [body])

    @classmethod
    def stream(cls, parts: Iterable[Part], content_type: str = "text/event-stream", **more) -> Reply:
        return cls(200, [("content-type", content_type)], list(parts), "chunked", **more)

    @classmethod
    def sse(cls, events: Iterable[object], cut: int | None = None, done: bool = True) -> Reply:
        """Server-sent events, one chunk each; `cut` makes every chunk that
        many bytes long instead, wherever the borders fall."""
        lines = [e if isinstance(e, bytes) else b"data: " + json.dumps(e).encode() + b"\n\n" for e in events]
        if done:
            lines.append(b"data: [DONE]\n\n")
        if cut:
            whole = b"".join(lines)
            lines = [whole[i : i + cut] for i in range(0, len(whole), cut)]
        return cls.stream(lines)


@dataclass
class Recorded:
    """One request as it came over the wire. `complete` turns true when the
    last byte was read; `aborted` when the peer went away before the answer
    was written in full."""

    method: str
    path: str
    headers: list[tuple[str, bytes]]
    connection: int
    body: bytes = b""
    trailers: list[tuple[str, bytes]] = field(default_factory=list)
    chunks: int = 0
    complete: bool = False
    aborted: bool = False
    at: float = field(default_factory=time.monotonic)

    def header(self, name: str) -> str | None:
        values = self.header_all(name)
        return values[0] if values else None

    def header_all(self, name: str) -> list[str]:
        return [value.decode(LATIN1) for key, value in self.headers if key == name.lower()]

    def json(self) -> object:
        return json.loads(self.body)


Script = Callable[[Recorded], Reply]


def chat_reply(text: str = "Hello.", model: str = "gpt-4o-mini", prompt: int = 9, completion: int = 3) -> Reply:
    """A whole chat completion."""
    return Reply.json(
        {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1,
            "model": model,
            "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
            "usage": usage(prompt, completion),
        }
    )


def chat_stream(pieces: Iterable[str], model: str = "gpt-4o-mini", tokens: tuple[int, int] | None = (9, 3), **more) -> Reply:
    """A streamed chat completion, one event per piece of text. `tokens` are
    prompt and completion tokens for a last event with usage, or None."""
    base = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": model}
    events = [base | {"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}]}]
    for piece in pieces:
        events.append(base | {"choices": [{"index": 0, "delta": {"content": piece}, "finish_reason": None}]})
    events.append(base | {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    if tokens:
        events.append(base | {"choices": [], "usage": usage(*tokens)})
    return Reply.sse(events, **more)


def usage(prompt: int, completion: int) -> dict:
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


class Upstream:
    """A server in a thread of its own. Tests set `reply` (for every request)
    or `script` (a function of the request) or `paths` (by path, exact, without
    query), and read `requests`."""

    def __init__(self, port: int = 0) -> None:
        self.reset()
        self.failure: BaseException | None = None
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._connections = 0
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self.port = port
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        self._ready.wait()

    # --- for tests ---

    def reset(self) -> None:
        """Forget requests and scripts."""
        self.requests: list[Recorded] = []
        self.reply: Reply = chat_reply()
        self.script: Script | None = None
        self.paths: dict[str, Reply | Script] = {}

    @property
    def last(self) -> Recorded:
        assert self.requests, "no request reached the upstream"
        return self.requests[-1]

    def wait(self, count: int = 1, timeout: float = 10.0, complete: bool = True) -> list[Recorded]:
        """The requests so far, once there are `count` of them."""
        until = time.monotonic() + timeout
        while time.monotonic() < until:
            seen = [r for r in self.requests if r.complete or not complete]
            if len(seen) >= count:
                return seen
            time.sleep(0.005)
        raise AssertionError(f"{len(self.requests)} requests reached the upstream, waited for {count}")

    def down(self) -> None:
        """Close the port and every connection; connections are refused."""
        self._call(self._close())

    def up(self) -> None:
        """Listen on the same port again."""
        if self._server is None:
            self._call(self._open())

    def stop(self) -> None:
        self._call(self._close())
        self._call(self._drain())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)

    # --- the server ---

    def _call(self, task):
        return asyncio.run_coroutine_threadsafe(task, self._loop).result(10)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._open())
        self._ready.set()
        self._loop.run_forever()

    async def _open(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, limit=1 << 26, backlog=512)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in list(self._writers):
            writer.close()

    async def _drain(self) -> None:
        """Let closed connections end, so that the loop leaves no task behind."""
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections += 1
        number = self._connections
        self._writers.add(writer)
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            while await self._exchange(reader, writer, number):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        except Exception as error:  # noqa: BLE001  shown to the test that caused it
            self.failure = error
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _exchange(self, reader, writer, number: int) -> bool:
        head = await reader.readuntil(b"\r\n\r\n")
        first, *lines = head[:-4].split(b"\r\n")
        method, path, _ = first.decode(LATIN1).split(" ", 2)
        request = Recorded(method, path, parse_headers(lines), number)
        self.requests.append(request)
        await read_body(reader, request)
        request.complete = True
        reply = self._choose(request)
        # Reading on while the answer is written shows a client that hung up.
        gone = asyncio.ensure_future(reader.read(1))
        answer = asyncio.ensure_future(self._answer(writer, reply, method))
        await asyncio.wait({gone, answer}, return_when=asyncio.FIRST_COMPLETED)
        if not answer.done():
            request.aborted = True
            answer.cancel()
            return False
        answer.result()
        if reply.framing == "close":
            gone.cancel()
            return False
        # One byte of the next request may have been taken off the stream.
        byte = await gone
        if not byte:
            return False
        reader._buffer[:0] = byte  # noqa: SLF001  asyncio has no unread
        return True

    def _choose(self, request: Recorded) -> Reply:
        chosen = self.paths.get(request.path.split("?")[0], self.script or self.reply)
        return chosen if isinstance(chosen, Reply) else chosen(request)

    async def _answer(self, writer, reply: Reply, method: str) -> None:
        writer.write(response_head(reply))
        chunked = reply.framing == "chunked"
        for part in reply.parts if method != "HEAD" else []:
            if isinstance(part, Delay):
                await writer.drain()
                await asyncio.sleep(part.seconds)
            elif isinstance(part, Reached):
                await writer.drain()
                part.event.set()
            elif isinstance(part, Hold):
                await writer.drain()
                while not part.event.is_set():
                    await asyncio.sleep(0.002)
            elif isinstance(part, Reset):
                await writer.drain()
                linger = struct.pack("ii", 1, 0)
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                writer.transport.abort()
                raise ConnectionResetError
            elif part:
                writer.write(b"%x\r\n%s\r\n" % (len(part), part) if chunked else part)
                await writer.drain()
                # Yields, so that parts leave as packets of their own.
                await asyncio.sleep(0)
        if chunked and method != "HEAD":
            trailers = "".join(f"{k}: {v}\r\n" for k, v in reply.trailers)
            writer.write(b"0\r\n" + trailers.encode(LATIN1) + b"\r\n")
        await writer.drain()


def response_head(reply: Reply) -> bytes:
    headers = list(reply.headers)
    names = {name.lower() for name, _ in headers}
    if reply.framing == "chunked":
        headers.append(("transfer-encoding", "chunked"))
    elif reply.framing == "length" and "content-length" not in names:
        headers.append(("content-length", str(sum(len(p) for p in reply.parts if isinstance(p, bytes)))))
    lines = [f"HTTP/1.1 {reply.status} Scripted", *(f"{name}: {value}" for name, value in headers)]
    return "\r\n".join([*lines, "", ""]).encode(LATIN1)


def parse_headers(lines: list[bytes]) -> list[tuple[str, bytes]]:
    pairs = (line.partition(b":") for line in lines if line)
    return [(name.decode(LATIN1).lower(), value.strip()) for name, _, value in pairs]


async def read_body(reader, request: Recorded) -> None:
    if "chunked" in (request.header("transfer-encoding") or ""):
        while size := int((await reader.readline()).split(b";")[0], 16):
            request.body += await reader.readexactly(size)
            request.chunks += 1
            await reader.readexactly(2)
        lines = []
        while (line := await reader.readline()).strip():
            lines.append(line.strip())
        request.trailers = parse_headers(lines)
    elif length := int(request.header("content-length") or 0):
        while len(request.body) < length:
            part = await reader.read(length - len(request.body))
            if not part:
                raise asyncio.IncompleteReadError(request.body, length)
            request.body += part
