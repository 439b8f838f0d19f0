"""Budgets under load: what is charged is what was produced, no limit is passed,
nothing stays reserved. `-s` shows the figures."""

import json
import os
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from client import Http1, head
from plugin import plugin
from upstream import Delay, Reached, Reply, chat_reply, chat_stream

CLIENTS = int(os.environ.get("PORTCULLIS_CLIENTS", "200"))
ROUNDS = int(os.environ.get("PORTCULLIS_ROUNDS", "3"))
CAP = 120
TIGHT, LOOSE = 6000, 10**9
# Each event is one token by the estimate that holds where no usage comes.
PIECE = "for "


def policy(name, limit):
    quotas = [
        {"name": "day", "per": "subject", "unit": "tokens", "limit": limit, "window": "1d"},
        {"name": "hour", "per": "subject", "unit": "output_tokens", "limit": limit, "window": "1h", "sliding": True},
        {"name": "month", "per": ["subject", "model"], "unit": "requests", "limit": 10**6, "window": "1month"},
        {"name": "flight", "per": "policy", "unit": "concurrent", "limit": 10**4},
    ]
    return {"name": name, "match": {"subjects": [name + "-*"]}, "quotas": quotas}


class Load:
    def __init__(self, proxy, upstream):
        self.proxy, self.random = proxy, random.Random(7)
        self.lock = threading.Lock()
        self.written: dict[str, Reached] = {}
        self.produced: dict[str, int] = {}
        upstream.script = self.answer

    def answer(self, request) -> Reply:
        kind, count, key = request.header("x-plan").split(":")
        count = int(count)
        self.produced[key] = count
        if kind == "whole":
            return chat_reply(PIECE * count, prompt=10, completion=count)
        if kind == "stream":
            return chat_stream([PIECE] * count, tokens=(10, count))
        reply = chat_stream([PIECE] * count, tokens=None)
        # All the text and no end: the client hangs up first.
        reply.parts = [*reply.parts[: count + 1], self.written[key], Delay(30)]
        return reply

    def one(self, number: int) -> str:
        with self.lock:
            kind = self.random.choice(["whole", "stream", "hang"])
            count = self.random.randint(5, CAP)
            subject = self.random.choice(["tight-1", "tight-2", "loose-1", "loose-2"])
        key = str(number)
        self.written[key] = Reached()
        fields = {"model": "m", "stream": kind != "whole", "max_tokens": CAP, "messages": [{"role": "user", "content": "hi"}]}
        body = json.dumps(fields).encode()
        headers = [("host", "a"), ("x-agent-id", subject), ("x-plan", f"{kind}:{count}:{key}"), ("content-type", "application/json")]
        connection = Http1(self.proxy.port, timeout=60)
        connection.send(head("POST", "/v1/chat/completions", [*headers, ("x-request-id", key), ("content-length", str(len(body)))]) + body)
        if kind != "hang":
            status = connection.read().status
            connection.sock.close()
            return str(status)
        # A refusal is answered; a stream is left when all of it is on its way.
        until = time.monotonic() + 60
        connection.sock.settimeout(0.2)
        first = b""
        while not self.written[key].event.is_set() and not first.startswith(b"HTTP/1.1 429") and time.monotonic() < until:
            try:
                first += connection.sock.recv(4096)
            except TimeoutError:
                pass
        time.sleep(0.4)
        connection.hang_up()
        return "429" if first.startswith(b"HTTP/1.1 429") else "hung up"


def test_charged_is_produced_and_no_limit_is_passed(own_envoy, upstream):
    config = plugin(rules={"packs": ["code"]})
    config["policies"] = [policy("tight", TIGHT), policy("loose", LOOSE)]
    proxy = own_envoy(config, workers=2)
    load = Load(proxy, upstream)
    began = time.monotonic()
    with ThreadPoolExecutor(CLIENTS) as pool:
        outcomes = list(pool.map(load.one, range(CLIENTS * ROUNDS)))
    seconds = time.monotonic() - began
    records = proxy.audits(len(outcomes), timeout=30)
    assert len(records) == len(outcomes)
    kinds = {kind: outcomes.count(kind) for kind in sorted(set(outcomes))}
    assert set(kinds) == {"200", "429", "hung up"} and min(kinds.values()) >= 20, kinds

    def lines(record):
        return {line["name"]: line for line in record["quota"]}

    by_request = dict(zip((line["request_id"] for line in proxy.logged(len(outcomes))), records, strict=True))
    charged = {}
    produced = 0
    for key, record in by_request.items():
        if record["decision"] == "deny":
            assert record["deny_reason"] in ("quota.day", "quota.hour") and record["quota"] == []
            assert key not in load.produced, "a refused request went upstream"
            continue
        count = load.produced[key]
        produced += count
        assert record["usage"]["output"] == count, (record["outcome"], record["usage"], count)
        spent = lines(record)
        assert spent["hour"]["charged"] == count
        assert spent["day"]["charged"] == count + record["usage"]["input"]
        assert spent["month"]["charged"] == 1
        totals = charged.setdefault(record["subject"], {"day": 0, "hour": 0, "month": 0})
        for name in totals:
            totals[name] += spent[name]["charged"]
    total = sum(totals["hour"] for totals in charged.values())
    assert total == produced == sum(load.produced.values())
    # After the run every counter stands at what was charged: nothing is held.
    for subject, totals in charged.items():
        limit = TIGHT if subject.startswith("tight") else LOOSE
        assert totals["day"] <= limit and totals["hour"] <= limit
        proxy.mark()
        load.produced.clear()
        upstream.script = None
        upstream.reply = chat_reply(prompt=0, completion=0)
        # Asks for all that is left of the day: fits only if nothing leaked.
        room = limit - totals["day"] - 60
        body = {"max_tokens": max(room, 1)}
        assert proxy.chat("hi", model="m", headers=[("x-agent-id", subject)], **body).status == 200, (subject, totals)
        left = lines(proxy.audit())
        assert left["day"]["remaining"] == limit - totals["day"]
        assert left["month"]["remaining"] == 10**6 - totals["month"] - 1
        assert left["flight"]["remaining"] == 10**4
    print(
        f"\n{CLIENTS} clients, 2 workers, {len(outcomes)} requests in {seconds:.0f} s: {kinds}; "
        f"produced {produced} output tokens, charged {total}; "
        + ", ".join(f"{s} {t['day']} of {TIGHT if s.startswith('tight') else LOOSE}" for s, t in sorted(charged.items()))
    )
