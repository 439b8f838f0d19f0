"""A client that can send what a well-behaved library refuses to send."""

from __future__ import annotations

import json
import socket
import struct
import time
from collections.abc import Iterable
from dataclasses import dataclass, field

import h2.config
import h2.connection
import h2.events

Header = tuple[str, str | bytes]
LATIN1 = "latin-1"


@dataclass
class Response:
    """An answer. `complete` is false when it was cut; `pieces` are the reads
    of the body with the seconds since the request was sent."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes = b""
    trailers: list[tuple[str, str]] = field(default_factory=list)
    pieces: list[tuple[float, bytes]] = field(default_factory=list)
    complete: bool = False
    reset: bool = False

    def header(self, name: str) -> str | None:
        return next((v for k, v in self.headers if k == name.lower()), None)

    def json(self):
        return json.loads(self.body)

    def events(self) -> list:
        """The data of each server-sent event; parsed where it is JSON."""
        found = []
        for block in self.body.replace(b"\r\n", b"\n").split(b"\n\n"):
            data = [line[5:].removeprefix(b" ") for line in block.split(b"\n") if line.startswith(b"data:")]
            if data:
                text = b"\n".join(data)
                found.append("[DONE]" if text == b"[DONE]" else json.loads(text))
        return found

    def text(self) -> str:
        """What the model said, in a whole or a streamed chat completion."""
        if (self.header("content-type") or "").startswith("text/event-stream"):
            choices = (c for e in self.events() if isinstance(e, dict) for c in e.get("choices", []))
            return "".join(c["delta"].get("content") or "" for c in choices)
        return self.json()["choices"][0]["message"]["content"]


def chunk(data: bytes) -> bytes:
    """`data` in HTTP/1.1 chunked framing."""
    return b"%x\r\n%s\r\n" % (len(data), data)


LAST_CHUNK = b"0\r\n\r\n"


def head(method: str, path: str, headers: Iterable[Header]) -> bytes:
    """A request head, with no check of any kind."""
    out = [f"{method} {path} HTTP/1.1".encode(LATIN1)]
    for name, value in headers:
        out.append(name.encode(LATIN1) + b": " + (value if isinstance(value, bytes) else value.encode(LATIN1)))
    return b"\r\n".join([*out, b"", b""])


class Http1:
    """One HTTP/1.1 connection, used again for every request sent on it."""

    def __init__(self, port: int, timeout: float = 20.0) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port), timeout)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""
        self.sent_at = time.monotonic()

    def __enter__(self) -> Http1:
        return self

    def __exit__(self, *_) -> None:
        self.sock.close()

    def send(self, data: bytes) -> None:
        self.sent_at = time.monotonic()
        self.sock.sendall(data)

    def hang_up(self) -> None:
        """Close with a TCP reset, as a killed process does."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Iterable[Header] = (),
        chunks: Iterable[bytes] | None = None,
        pause: float = 0.0,
        trailers: Iterable[Header] = (),
    ) -> Response:
        """`chunks` sends them in chunked framing, `pause` seconds apart."""
        extra = [*headers]
        names = {name.lower() for name, _ in extra}
        if "host" not in names:
            extra.insert(0, ("host", "models.test"))
        if chunks is not None:
            self.send(head(method, path, [*extra, ("transfer-encoding", "chunked")]))
            for data in chunks:
                time.sleep(pause)
                self.send(chunk(data))
            tail = b"".join(f"{k}: {v}\r\n".encode(LATIN1) for k, v in trailers)
            self.send(b"0\r\n" + tail + b"\r\n")
        else:
            if body is not None and "content-length" not in names:
                extra.append(("content-length", str(len(body))))
            self.send(head(method, path, extra) + (body or b""))
        return self.read(method)

    def read(self, method: str = "POST") -> Response:
        first, *lines = self._until(b"\r\n\r\n").split(b"\r\n")
        status = int(first.split(b" ")[1])
        if status == 100:
            return self.read(method)
        response = Response(status, [])
        for line in lines:
            if line:
                name, _, value = line.partition(b":")
                response.headers.append((name.decode(LATIN1).lower(), value.strip().decode(LATIN1)))
        try:
            self._body(response, method)
        except ConnectionResetError:
            response.reset = True
        except EOFError:
            pass
        return response

    def _body(self, response: Response, method: str) -> None:
        length = response.header("content-length")
        if method == "HEAD" or response.status in (204, 304):
            pass
        elif "chunked" in (response.header("transfer-encoding") or ""):
            while size := int(self._until(b"\r\n").split(b";")[0], 16):
                self._piece(response, self._exactly(size))
                self._exactly(2)
            while line := self._until(b"\r\n").strip():
                name, _, value = line.partition(b":")
                response.trailers.append((name.decode(LATIN1).lower(), value.strip().decode(LATIN1)))
        elif length is not None:
            while missing := int(length) - len(response.body):
                if not self.buffer:
                    self._fill()
                self._piece(response, self._exactly(min(missing, len(self.buffer))))
        else:
            while True:
                try:
                    self._fill()
                except EOFError:
                    break
                self._piece(response, self._exactly(len(self.buffer)))
        response.complete = True

    def _piece(self, response: Response, data: bytes) -> None:
        response.body += data
        response.pieces.append((time.monotonic() - self.sent_at, data))

    def _fill(self) -> None:
        data = self.sock.recv(1 << 18)
        if not data:
            raise EOFError("the connection was closed")
        self.buffer += data

    def _until(self, mark: bytes) -> bytes:
        while mark not in self.buffer:
            self._fill()
        out, _, self.buffer = self.buffer.partition(mark)
        return out + mark

    def _exactly(self, count: int) -> bytes:
        while len(self.buffer) < count:
            self._fill()
        out, self.buffer = self.buffer[:count], self.buffer[count:]
        return out


def http1(port: int, method: str, path: str, body: bytes | None = None, **more) -> Response:
    """One request on a connection of its own."""
    with Http1(port) as connection:
        return connection.request(method, path, body, **more)


def http2(
    port: int,
    method: str,
    path: str,
    frames: Iterable[bytes] = (),
    headers: Iterable[Header] = (),
    trailers: Iterable[Header] | None = None,
    timeout: float = 20.0,
) -> Response:
    """One HTTP/2 request in clear text: each of `frames` is a DATA frame (cut
    further where the peer's limits ask for it); with `trailers` the stream
    ends in a HEADERS frame and no DATA frame carries the end."""
    # Header checks are off, because tests send what they forbid.
    settings = h2.config.H2Configuration(client_side=True, validate_outbound_headers=False, normalize_outbound_headers=False)
    h2c = h2.connection.H2Connection(settings)
    with socket.create_connection(("127.0.0.1", port), timeout) as sock:
        h2c.initiate_connection()
        # One stream, read to its end: no flow control is wanted here.
        h2c.increment_flow_control_window(1 << 24)
        stream = h2c.get_next_available_stream_id()
        pseudo = [(":method", method), (":path", path), (":scheme", "http"), (":authority", "models.test")]
        frames = list(frames)
        bare = not frames and trailers is None
        h2c.send_headers(stream, [*pseudo, *headers], end_stream=bare)
        response = Response(0, [])
        ended = bare or send_frames(h2c, sock, stream, frames, trailers, response)
        if ended:
            sock.sendall(h2c.data_to_send())
        while not response.complete and not response.reset:
            data = sock.recv(1 << 16)
            if not data:
                break
            take_events(h2c, data, response)
            sock.sendall(h2c.data_to_send())
    return response


def send_frames(h2c, sock, stream: int, frames: list[bytes], trailers, response: Response) -> bool:
    for number, frame in enumerate(frames):
        final = trailers is None and number == len(frames) - 1
        while True:
            room = min(h2c.local_flow_control_window(stream), h2c.max_outbound_frame_size)
            part, frame = frame[:room], frame[room:]
            if part or not frame:
                h2c.send_data(stream, part, end_stream=final and not frame)
            sock.sendall(h2c.data_to_send())
            if not frame:
                break
            if not room:
                take_events(h2c, sock.recv(1 << 16), response)
                if response.complete or response.reset:
                    return False
    if trailers is not None:
        h2c.send_headers(stream, list(trailers), end_stream=True)
    return True


def take_events(h2c, data: bytes, response: Response) -> None:
    for event in h2c.receive_data(data):
        if isinstance(event, h2.events.ResponseReceived):
            response.headers = [(text(k), text(v)) for k, v in event.headers]
            response.status = int(response.header(":status") or 0)
        elif isinstance(event, h2.events.DataReceived):
            response.body += event.data
            response.pieces.append((time.monotonic(), event.data))
            h2c.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.TrailersReceived):
            response.trailers = [(text(k), text(v)) for k, v in event.headers]
        elif isinstance(event, h2.events.StreamEnded):
            response.complete = True
        elif isinstance(event, (h2.events.StreamReset, h2.events.ConnectionTerminated)):
            response.reset = True


def text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode(LATIN1)
