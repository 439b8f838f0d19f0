"""Streamed answers: time to the first event, cost of an event, and memory over
a long stream, with the filter (which masks) and without it. The upstream waits
after its first event, so that a filter which holds events back is seen."""

from __future__ import annotations

import json
import re
import socket
import time
from pathlib import Path

from stage import PLUGIN, Model, chat_body, envoy_pair, percentile, post, prose

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
PAUSE = 0.02
EVENTS = 1000
LONG = 100_000
# Memory is read this many times on the way.
READINGS = 10
# A value to mask in every so many events, cut over three of them.
VALUE_EVERY = 50
VALUE = ("jane.", "doe@exam", "ple.com ")


def pieces(count: int) -> list[str]:
    """What a model says, a word an event, now and then with an address."""
    words = [word + " " for word in prose(40_000, 3).split()]
    out: list[str] = []
    while len(out) < count:
        out.append(words[len(out) % len(words)])
        if len(out) % VALUE_EVERY == 0:
            out.extend(VALUE)
    return out[:count]


def event(fields: dict, finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": fields, "finish_reason": finish}
    chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "gpt-4o-mini", "choices": [choice]}
    data = b"data: " + json.dumps(chunk).encode() + b"\n\n"
    return b"%x\r\n%s\r\n" % (len(data), data)


END = event({}, "stop") + b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n"
REQUEST = post(chat_body(1024, 1, stream=True, stream_options={"include_usage": True}))


class Stream:
    """One streamed answer as a client gets it."""

    def __init__(self, port: int) -> None:
        self.connection = socket.create_connection(("127.0.0.1", port), 60)
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self) -> tuple[float, float, float, int]:
        """When the request was sent, when the first event with text came, and
        the end; bytes."""
        began = time.perf_counter()
        self.connection.sendall(REQUEST)
        first, size, tail = 0.0, 0, b""
        while True:
            got = self.connection.recv(1 << 18)
            if not got:
                raise RuntimeError("the stream was cut")
            size += len(got)
            tail = tail[-64:] + got
            if not first and b'"content"' in tail:
                first = time.perf_counter()
            if tail.endswith(b"\r\n0\r\n\r\n"):
                if b"[DONE]" not in tail:
                    raise RuntimeError("the stream ended early")
                return began, first, time.perf_counter(), size

    def close(self) -> None:
        self.connection.close()


def first_events(quick: bool, from_request: bool) -> dict:
    """Time to first event, from the request or from the upstream's sending on.
    The upstream's second event comes later."""
    sent = [0.0]

    def answer(connection: socket.socket) -> None:
        sent[0] = time.perf_counter()
        connection.sendall(HEAD + event({"role": "assistant", "content": "Well, "}))
        time.sleep(PAUSE)
        connection.sendall(event({"content": "good."}) + END)

    return in_turns(answer, 40 if quick else 300, lambda took: took[1] - (took[0] if from_request else sent[0]))


def events(quick: bool) -> dict:
    """Time of a stream of many events, each a packet of its own chunk."""
    said = [event({"content": piece}) for piece in pieces(EVENTS)]

    def answer(connection: socket.socket) -> None:
        connection.sendall(HEAD)
        for chunk in said:
            connection.sendall(chunk)
        connection.sendall(END)

    return in_turns(answer, 5 if quick else 40, lambda took: (took[2] - took[0]) / EVENTS)


def in_turns(answer, rounds: int, value) -> dict:
    model = Model(answer)
    ours, plain = envoy_pair(model.port, PLUGIN)
    try:
        streams = Stream(ours.port), Stream(plain.port)
        taken: tuple[list[float], list[float]] = ([], [])
        for turn in range(rounds + 5):
            for stream, values in zip(streams, taken, strict=True):
                took = value(stream.ask())
                # The first ones build automata.
                if turn >= 5:
                    values.append(took)
        for stream in streams:
            stream.close()
        if faults := ours.faults():
            raise RuntimeError(f"the filter failed in the bench: {faults}")
    finally:
        ours.kill()
        plain.kill()
        model.close()
    both = [sorted(values) for values in taken]
    return {
        f"{name}_{label}": percentile(values, share) * 1e6
        for name, values in zip(("with", "without"), both, strict=True)
        for label, share in (("p50", 0.5), ("p99", 0.99))
    }


def memory_of(process: int) -> int:
    """Resident bytes of a process."""
    status = Path(f"/proc/{process}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) * 1024


def long_stream(quick: bool) -> dict:
    """Memory of Envoy, the VM's included, over one long stream."""
    count = LONG // 10 if quick else LONG
    said = [event({"content": piece}) for piece in pieces(count)]
    readings: list[int] = []
    pid = 0

    def answer(connection: socket.socket) -> None:
        connection.sendall(HEAD)
        for number, chunk in enumerate(said):
            connection.sendall(chunk)
            # Not the start: buffers and automata are made there.
            if number % (count // READINGS) == count // READINGS - 1:
                time.sleep(0.05)
                readings.append(memory_of(pid))
        connection.sendall(END)

    model = Model(answer)
    ours, plain = envoy_pair(model.port, PLUGIN)
    pid = ours.process.pid
    try:
        before = memory_of(pid)
        stream = Stream(ours.port)
        began, _, ended, size = stream.ask()
        stream.close()
        record = ours.audit()
        if record["outcome"] != "complete" or not record["findings"]:
            raise RuntimeError(f"the long stream ended as {record['outcome']}, with findings {record['findings']}")
    finally:
        ours.kill()
        plain.kill()
        model.close()
    return {"events": count, "seconds": ended - began, "bytes": size, "before": before, "readings": readings}


def run(quick: bool = False) -> list[dict]:
    return [first_events(quick, True), first_events(quick, False), events(quick), long_stream(quick)]


def table(rows: list[dict]) -> str:
    whole, first, each, long = rows
    lines = ["| | without, p50 / p99 | with, p50 / p99 | added p50 |", "|---|---:|---:|---:|"]
    named = {"request to first event": whole, "first event, from the upstream on": first, "an event of a stream": each}
    for name, row in named.items():
        lines.append(
            f"| {name} | {row['without_p50']:,.1f} / {row['without_p99']:,.1f} µs "
            f"| {row['with_p50']:,.1f} / {row['with_p99']:,.1f} µs | {row['with_p50'] - row['without_p50']:,.1f} µs |"
        )
    megabytes = [f"{reading / 1e6:.1f}" for reading in long["readings"]]
    lines += [
        "",
        f"One stream of {long['events']:,} events, {long['bytes'] / 1e6:.1f} MB, in {long['seconds']:.1f} s. "
        f"Envoy's resident memory: {long['before'] / 1e6:.1f} MB before it, then at each tenth {', '.join(megabytes)} MB.",
    ]
    return "\n".join(lines)
