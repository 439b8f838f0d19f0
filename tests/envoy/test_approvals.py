"""Calls that need consent: a real Envoy asks the reference server, or one that
does what a test says, and a human in a headless Chromium decides."""

import base64
import http.client
import json
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlencode

import pytest
import yaml
from browser import Browser
from client import Http1, http2
from envoy import JWT_KEY, Envoy, Options, bearer
from plugin import EMAIL, plugin
from upstream import Delay, Reply, Reset, Upstream, usage

ROOT = Path(__file__).resolve().parents[2]
SERVER = ROOT / "envoy/approvals/server.py"
sys.path[:0] = [str(ROOT / "scripts"), str(SERVER.parent)]

import page  # noqa: E402
import server  # noqa: E402
from render import render  # noqa: E402

OPS = ("x-agent-id", "ops-1")
ANN = ("x-agent-id", "ann")
JSON = ("content-type", "application/json")
PRICES = {"prices": {"gpt-4o-mini": {"input": 1, "output": 1}, "dear": {"input": 1000, "output": 1000}}}


def config(**service):
    """Ops may do all; everybody else asks for what is dear and for `db.*`."""
    base = plugin(models=PRICES, approvals={"desk": {"cluster": "approvals", "timeout_ms": 1000, **service}})
    approval = {"service": "desk", "cost_over_usd": 1.0, "tools": ["db.*"], "show_arguments": True}
    everybody = base["policies"][0] | {"models": {}}
    base["policies"] = [
        {**everybody, "name": "ops", "match": {"subjects": ["ops-*"]}},
        {**everybody, "approval": approval, "quotas": [{"name": "day", "per": "subject", "unit": "tokens", "limit": 10**9, "window": "1d"}]},
    ]
    return base


class Desk:
    """The reference server as a program."""

    def __init__(self, *more: str) -> None:
        command = [sys.executable, str(SERVER), "--api", "127.0.0.1:0", "--page", "127.0.0.1:0", *more]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        ports = json.loads(self.process.stdout.readline())
        self.api, self.page = ports["api"], ports["page"]
        self.url = f"http://127.0.0.1:{self.page}/"

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def send(self, port: int, method: str, path: str, body: str | None = None, **headers):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        try:
            connection.request(method, path, body, {k.replace("_", "-"): v for k, v in headers.items()})
            answer = connection.getresponse()
            return answer.status, answer.read().decode(), answer.headers
        finally:
            connection.close()

    def ask(self, question: dict):
        status, body, _ = self.send(self.api, "POST", "/v1/approvals", json.dumps(question), idempotency_key=question["id"])
        assert status == 200, body
        return json.loads(body)["decision"]


@pytest.fixture(scope="module")
def desk():
    desk = Desk()
    yield desk
    desk.stop()


@pytest.fixture(scope="module")
def browser():
    browser = Browser()
    yield browser
    browser.stop()


@pytest.fixture
def service():
    """An approval service that does what a test says."""
    server = Upstream()
    yield server
    server.stop()
    assert server.failure is None, server.failure


def says(decision, reason=None, **more):
    """A script of the service: this decision for whatever is asked."""
    return lambda asked: Reply.json({"id": asked.json()["id"], "decision": decision, "reason": reason, **more})


def dear(proxy, who=ANN, text="hi", **more):
    """A call for some two dollars."""
    return proxy.chat(text, headers=[who], model="dear", max_tokens=2000, **more)


def tool(proxy, name="db.drop", arguments=None, who=ANN, number=1):
    message = {"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": {"name": name, "arguments": arguments or {"table": "users"}}}
    return proxy.request("POST", "/jira/mcp", json.dumps(message).encode(), headers=[who, JSON, ("accept", "application/json, text/event-stream")])


def line(record):
    assert len(record["approval"]) == 1, record["approval"]
    return record["approval"][0]


def decision_of(record):
    return record["decision"], record["deny_reason"], record["upstream_status"]


# --- a human decides ---


def test_dear_calls_wait_for_a_human(envoy, upstream, desk, browser, tmp_path):
    proxy = envoy(config(), workers=2, clusters={"approvals": desk.api})
    assert dear(proxy, OPS).status == 200
    assert proxy.chat("hi", headers=[ANN], max_tokens=10).status == 200
    answer = dear(proxy, text="a dear one")
    assert answer.status == 403 and answer.json()["error"]["code"] == "approval.pending"
    key = answer.header("x-portcullis-approval")
    assert key in answer.json()["error"]["message"] and "waiting for a human" in answer.json()["error"]["message"]
    # However often, and on whichever worker.
    assert {dear(proxy, text="a dear one").header("x-portcullis-approval") for _ in range(6)} == {key}
    assert len(upstream.requests) == 2
    records = proxy.audits(9)
    assert [r.get("approval") for r in records[:2]] == [None, None]
    for record in records[2:]:
        assert decision_of(record) == ("deny", "approval.pending", None) and record["outcome"] == "refused"
        assert line(record)["id"] == key and line(record)["decision"] == "pending" and line(record)["why"] == ["cost"]
        assert line(record)["waited_us"] > 0
        # Nothing is held for a call that waits.
        assert record["quota"] == []

    browser.open(desk.url)
    assert "ann" in browser.text(f"#r{key} h3") and "$2.00" in browser.text(f"#r{key} dl")
    assert "asked 7 times" in browser.text(f"#r{key}")
    browser.type(f"#w{key}", "fine, but once")
    browser.click(f"#r{key} button[value=once]")
    browser.wait(lambda: browser.all(f"#d{key}"), "the decision on the page")
    assert not browser.all(f"#r{key}")
    proxy.mark()
    assert dear(proxy, text="a dear one").status == 200
    assert dear(proxy, text="another dear one").status == 403
    assert dear(proxy, text="a dear one").status == 403
    allowed, other, again = proxy.audits(3)
    assert (allowed["decision"], line(allowed)["decision"], line(allowed)["reason"]) == ("allow", "allow", "fine, but once")
    assert allowed["quota"][0]["charged"] > 0
    assert line(other)["id"] != key and line(again)["id"] == key
    assert len(upstream.requests) == 3


def test_tools_wait_for_a_human_who_sees_what_they_do(envoy, upstream, desk, browser, tmp_path):
    proxy = envoy(config(), clusters={"approvals": desk.api})
    upstream.reply = Reply.json({"jsonrpc": "2.0", "id": 1, "result": {"content": []}})
    arguments = {"table": "users", "mail": EMAIL, "then": "DROP TABLE <b>users</b>"}
    assert tool(proxy, arguments=arguments, who=OPS).status == 200
    assert tool(proxy, name="get").status == 200
    answer = tool(proxy, arguments=arguments)
    error = answer.json()["error"]
    assert error["data"]["code"] == "approval.pending" and answer.json()["id"] == 1
    key = answer.header("x-portcullis-approval")
    # Another message id is the same call, other arguments are not.
    assert tool(proxy, arguments=arguments, number=2).header("x-portcullis-approval") == key
    assert tool(proxy, arguments=arguments | {"table": "all"}).header("x-portcullis-approval") != key
    assert len(upstream.requests) == 2
    records = proxy.audits(5)
    assert line(records[2])["why"] == ["tool"] and records[2]["deny_reason"] == "approval.pending"

    browser.open(desk.url)
    shown = browser.text(f"#r{key} .calls")
    assert "db.drop" in shown and "DROP TABLE <b>users</b>" in shown
    assert "[EMAIL]" in shown and EMAIL not in browser.call("GET", "/source")
    browser.click(f"#r{key} button[value=hour]")
    browser.wait(lambda: browser.all(f"#d{key}"), "the decision on the page")
    for _ in range(2):
        assert "error" not in tool(proxy, arguments=arguments).json()
    other = tool(proxy, arguments=arguments | {"table": "all"})
    browser.open(desk.url)
    browser.type(f"#w{other.header('x-portcullis-approval')}", "not all of them")
    browser.click(f"#r{other.header('x-portcullis-approval')} button[value=deny]")
    browser.wait(lambda: browser.all(f"#d{other.header('x-portcullis-approval')}"), "the decision on the page")
    proxy.mark()
    told = tool(proxy, arguments=arguments | {"table": "all"}).json()["error"]
    assert told["data"]["code"] == "approval.denied" and "not all of them" in told["message"]
    record = proxy.audit()
    assert decision_of(record) == ("deny", "approval.denied", None)
    assert (line(record)["decision"], line(record)["reason"]) == ("deny", "not all of them")


def calling(name, arguments):
    call = {"index": 0, "id": "c1", "type": "function", "function": {"name": name, "arguments": arguments}}
    return {"role": "assistant", "content": None, "tool_calls": [call]}


def whole(message):
    return Reply.json({"model": "gpt-4o-mini", "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}], "usage": usage(5, 5)})


def test_tools_that_a_model_calls_wait_before_the_client_sees_them(envoy, upstream, service):
    proxy = envoy(config(), workers=2, clusters={"approvals": service.port})
    upstream.reply = whole(calling("db.drop", '{"table":"users","mail":"%s"}' % EMAIL))
    service.script = says("pending")
    assert "db.drop" in proxy.chat("hi", headers=[OPS]).body.decode()
    assert not service.requests
    answer = proxy.chat("hi", headers=[ANN])
    assert answer.status == 403 and answer.json()["error"]["code"] == "approval.pending"
    assert b"db.drop" not in answer.body
    asked = service.last.json()
    assert (asked["stage"], asked["why"], asked["subject"]) == ("answer", ["tool"], "ann")
    assert asked["calls"][0]["name"] == "db.drop"
    assert json.loads(asked["calls"][0]["arguments"]) == {"table": "users", "mail": "[EMAIL]"}
    service.script = says("allow", "go on")
    # Asked otherwise, with the same call at its end.
    passed = proxy.chat("do it", headers=[ANN])
    assert passed.status == 200 and "db.drop" in passed.body.decode() and EMAIL not in passed.body.decode()
    assert service.last.json()["id"] == asked["id"] == answer.header("x-portcullis-approval")
    upstream.reply = whole(calling("get", "{}"))
    assert proxy.chat("hi", headers=[ANN]).status == 200
    assert len(service.requests) == 2
    records = proxy.audits(4)
    assert [r["decision"] for r in records] == ["redact", "deny", "redact", "allow"]
    # The model has worked for it.
    assert decision_of(records[1]) == ("deny", "approval.pending", 200) and records[1]["quota"][0]["charged"] == 10
    assert (line(records[2])["decision"], records[2]["outcome"]) == ("allow", "complete")


def delta(fields, finish=None):
    event = {"model": "gpt-4o-mini", "choices": [{"index": 0, "delta": fields, "finish_reason": finish}]}
    return b"data: " + json.dumps(event).encode() + b"\n\n"


def calling_stream(arguments):
    """The parts of a stream that says a word, calls a tool, and ends."""
    call = calling("db.drop", "")["tool_calls"]
    pieces = [{"tool_calls": [{"index": 0, "function": {"arguments": letter}}]} for letter in arguments]
    parts = [delta(d) for d in ({"content": "Right. "}, {"content": "Now"}, {"tool_calls": call}, *pieces)]
    return [*parts, delta({}, "tool_calls"), b"data: [DONE]\n\n"]


ENDINGS = {
    # Where the answer of the service comes: before the stream ends, or behind
    # its end; in trailers; and the whole stream in one chunk.
    "goes on": lambda parts, slow: [*parts, Delay(slow), b": more\n\n", Delay(0.1), b": end\n\n"],
    "ends": lambda parts, slow: parts,
    "one chunk": lambda parts, slow: [b"".join(parts)],
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_stream_waits_from_such_a_call_on(envoy, upstream, service, ending):
    proxy = envoy(config(), workers=2, clusters={"approvals": service.port})
    arguments = json.dumps({"table": "users", "mail": "a@b.example"})
    parts = ENDINGS[ending](calling_stream(arguments), 0.4)
    whole = b"".join(part for part in parts if isinstance(part, bytes))
    upstream.reply = Reply.stream(parts)
    slow = [Delay(0.2)]
    service.script = lambda asked: Reply.stream([*slow, says("allow")(asked).parts[0]])
    for who in (OPS, ANN):
        answer = proxy.chat("hi", headers=[who], stream=True)
        assert answer.complete and answer.status == 200
        assert answer.body.replace(b"[EMAIL]", b"a@b.example").startswith(whole[:120])
        assert b"db.drop" in answer.body and b"approval" not in answer.body
        assert (answer.body.count(b": more"), answer.body.count(b": end")) == (whole.count(b": more"), whole.count(b": end"))
    asked = service.last.json()
    assert len(service.requests) == 1 and asked["stage"] == "answer"
    assert json.loads(asked["calls"][0]["arguments"]) == {"table": "users", "mail": "[EMAIL]"}
    service.script = lambda asked: Reply.stream([*slow, says("pending", "ask Eve")(asked).parts[0]])
    answer = proxy.chat("hi", headers=[ANN], stream=True)
    assert answer.complete and b"Right. " in answer.body and b"db.drop" not in answer.body and b"users" not in answer.body
    error = next(event for event in answer.events() if "error" in event)["error"]
    assert error["code"] == "approval.pending" and "ask Eve" in error["message"] and asked["id"] in error["message"]
    assert answer.body.rstrip().endswith(b"data: [DONE]")
    service.script = lambda asked: Reply.json({"decision": "allow"})
    assert b"approval.unavailable" in proxy.chat("hi", headers=[ANN], stream=True).body
    records = proxy.audits(4)
    assert [r["deny_reason"] for r in records] == [None, None, "approval.pending", "approval.unavailable"]
    assert (line(records[1])["decision"], records[1]["outcome"]) == ("allow", "complete")
    assert line(records[1])["waited_us"] > 150_000
    assert records[2]["quota"][0]["charged"] > 0


def test_a_stream_whose_service_cannot_be_asked(envoy, upstream):
    for nowhere in ("closed", "open"):
        proxy = envoy(config(cluster="nowhere", on_fault=nowhere))
        for parts in (calling_stream("{}"), [b"".join(calling_stream("{}"))], [*calling_stream("{}"), Delay(0.1), b": end\n\n"]):
            upstream.reply = Reply.stream(parts)
            answer = proxy.chat("hi", headers=[ANN], stream=True)
            assert answer.complete
            if nowhere == "open":
                assert answer.body == b"".join(part for part in parts if isinstance(part, bytes))
            else:
                assert b"Right. " in answer.body and b"approval.unavailable" in answer.body and b"db.drop" not in answer.body
        assert {line(r)["decision"] for r in proxy.audits(3)} == {"fault"}


def test_streams_that_end_in_trailers_and_clients_that_leave(own_envoy, upstream, service):
    proxy = own_envoy(config(timeout_ms=3000), workers=2, response_trailers=True, clusters={"approvals": service.port})
    service.script = lambda asked: Reply.stream([Delay(0.3), says("allow")(asked).parts[0]])
    parts = calling_stream('{"a":1}')
    whole = b"".join(parts)
    # Trailers have no room for what waits: a chunk before them that leaves
    # nothing to send has.
    upstream.reply = Reply.stream([b"".join(parts[:-1]), Delay(0.1), parts[-1], Delay(0.1)], trailers=[("x-end", "1")])
    for who in (OPS, ANN):
        answer = proxy.chat("hi", headers=[who], stream=True)
        assert answer.complete and answer.body == whole, answer.body
    upstream.reply = Reply.stream([*parts, Delay(0.05)])

    def leave(_):
        with Http1(proxy.port) as connection:
            body = json.dumps({"model": "gpt-4o-mini", "stream": True, "messages": [{"role": "user", "content": "hi"}]}).encode()
            head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\nx-agent-id: ann\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
            connection.send(head.encode() + body)
            time.sleep(0.2)
            connection.hang_up()

    with ThreadPoolExecutor(20) as many:
        list(many.map(leave, range(40)))
    records = proxy.audits(42)
    assert {line(r)["decision"] for r in records[2:]} == {"unanswered"} and {r["outcome"] for r in records[2:]} == {"aborted"}
    time.sleep(0.6)
    assert proxy.chat("hi", headers=[ANN], stream=True).body == whole


# --- the service decides, or does not ---


def test_a_question_says_what_the_manual_says(envoy, upstream, service):
    proxy = envoy(config(), clusters={"approvals": service.port})
    service.script = says("allow")
    assert dear(proxy).status == 200
    asked = service.last
    assert (asked.method, asked.path, asked.header("host")) == ("POST", "/v1/approvals", "approvals")
    question = asked.json()
    assert asked.header("idempotency-key") == question["id"] == line(proxy.audit())["id"]
    cost = question.pop("estimated_cost_usd")
    assert 2.0 < cost < 2.1
    assert question == {
        "v": 1,
        "id": question["id"],
        "why": ["cost"],
        "stage": "request",
        "subject": "ann",
        "groups": [],
        "chain": [],
        "policy": "everybody",
        "dialect": "openai_chat",
        "operation": "chat",
        "model": "dear",
        "server": None,
        "host": "models.test",
        "path": "/v1/chat/completions",
        "calls": [],
    }


FAULTS = {
    "slow": lambda asked: Reply.stream([b" ", Delay(3.0), json.dumps({"id": asked.json()["id"], "decision": "allow"}).encode()]),
    "reset": lambda asked: Reply(200, [("content-type", "application/json")], [Reset()], "chunked"),
    "cut": lambda asked: Reply.stream([json.dumps({"id": asked.json()["id"], "decision": "allow"}).encode()[:-1]]),
    "status 500": lambda asked: Reply.json({"id": asked.json()["id"], "decision": "allow"}, status=500),
    "status 302": lambda asked: Reply.json({"id": asked.json()["id"], "decision": "allow"}, status=302),
    "no json": lambda asked: Reply(200, [], [b"allow"]),
    "empty": lambda asked: Reply(200, [], []),
    "unknown word": says("approve"),
    "another id": lambda asked: Reply.json({"id": "0" * 32, "decision": "allow"}),
    "twice": lambda asked: Reply.json(b'{"id":"%s","decision":"deny","decision":"allow"}' % asked.json()["id"].encode()),
    "too long": says("allow", filler="x" * 17000),
    "far too long": says("allow", filler="x" * 3_000_000),
}


@pytest.mark.parametrize("open", [False, True], ids=["closed", "open"])
def test_a_service_that_does_not_answer_in_form(own_envoy, upstream, service, open):
    proxy = own_envoy(config(on_fault="open" if open else "closed"), clusters={"approvals": service.port})
    for number, (name, script) in enumerate(FAULTS.items()):
        service.script = script
        upstream.reset()
        proxy.mark()
        started = time.monotonic()
        answer = dear(proxy)
        assert time.monotonic() - started < 2.5, name
        assert dear(proxy, OPS).status == 200
        record = proxy.audits(2)[0]
        assert line(record)["decision"] == "fault", name
        assert len(upstream.requests) == 1 + open, name
        if open:
            assert answer.status == 200 and record["coverage"] == "partial", name
            assert "fault.approval" in record["coverage_reasons"], name
        else:
            assert answer.status == 503 and answer.json()["error"]["code"] == "approval.unavailable", name
            assert decision_of(record) == ("deny", "approval.unavailable", None), name
        # Envoy ejects what answers with 5xx three times; a whole answer resets that.
        service.script = says("allow")
        assert dear(proxy).status == 200, name


def test_a_service_that_is_down_and_one_that_nobody_knows(own_envoy, upstream, service):
    proxy = own_envoy(config(), clusters={"approvals": service.port})
    service.script = says("allow")
    assert dear(proxy).status == 200
    service.down()
    assert dear(proxy).status == 503
    # A fault of the service is no fault of who does not need it.
    assert proxy.chat("hi", headers=[ANN]).status == 200
    service.up()
    assert dear(proxy).status == 200
    assert [line(r)["decision"] if r.get("approval") else None for r in proxy.audits(4)] == ["allow", "fault", None, "allow"]
    proxy = own_envoy(config(cluster="nowhere"))
    assert dear(proxy).status == 503
    assert line(proxy.audit()) | {"id": ""} == {"id": "", "decision": "fault", "why": ["cost"], "waited_us": 0}
    proxy = own_envoy(config(cluster="nowhere", on_fault="open"))
    assert dear(proxy).status == 200
    assert proxy.audit()["coverage_reasons"] == ["fault.approval"]


def test_monitor_mode_asks_nobody(envoy, upstream, service):
    proxy = envoy(config() | {"mode": "monitor"}, clusters={"approvals": service.port})
    assert dear(proxy).status == 200
    upstream.reply = whole(calling("db.drop", "{}"))
    assert b"db.drop" in proxy.chat("hi", headers=[ANN]).body
    assert not service.requests
    for record, why in zip(proxy.audits(2), ("cost", "tool")):
        assert (record["decision"], record["would_deny"]) == ("allow", "approval.required")
        assert (line(record)["decision"], line(record)["why"]) == ("monitor", [why])


def test_clients_that_hang_up_while_they_wait(own_envoy, upstream, service):
    proxy = own_envoy(config(timeout_ms=5000), workers=2, clusters={"approvals": service.port})
    service.script = lambda asked: Reply.stream([Delay(0.5), json.dumps({"id": asked.json()["id"], "decision": "allow"}).encode()])
    body = json.dumps({"model": "dear", "max_tokens": 2000, "messages": [{"role": "user", "content": "hi"}]}).encode()

    def give_up(_):
        with Http1(proxy.port) as connection:
            head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\nx-agent-id: ann\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
            connection.send(head.encode() + body)
            time.sleep(0.2)
            connection.hang_up()

    with ThreadPoolExecutor(20) as many:
        list(many.map(give_up, range(60)))
    service.wait(60)
    for record in proxy.audits(60):
        assert (line(record)["decision"], record["outcome"], record["upstream_status"]) == ("unanswered", "aborted", None)
        assert record["quota"] == []
    time.sleep(0.8)
    assert not upstream.requests
    # Others go on, also those that wait at the same time.
    with ThreadPoolExecutor(8) as many:
        assert {answer.status for answer in many.map(lambda _: dear(proxy), range(16))} == {200}


def test_bodies_that_are_edited_and_end_in_trailers_wait_as_well(envoy, upstream, service):
    proxy = envoy(config(), clusters={"approvals": service.port})
    service.script = says("allow")
    body = json.dumps({"model": "dear", "max_tokens": 2000, "messages": [{"role": "user", "content": f"mail {EMAIL}"}]}).encode()
    frames = [body[i : i + 40] for i in range(0, len(body), 40)]
    for trailers in (None, [("x-more", "1")]):
        answer = http2(proxy.port, "POST", "/v1/chat/completions", frames, [ANN, JSON], trailers)
        assert answer.status == 200
        assert EMAIL not in upstream.last.body.decode() and "[EMAIL]" in upstream.last.body.decode()
    service.script = says("deny")
    for trailers in (None, [("x-more", "1")]):
        assert http2(proxy.port, "POST", "/v1/chat/completions", frames, [ANN, JSON], trailers).status == 403
    assert len(upstream.requests) == 2
    assert [line(r)["decision"] for r in proxy.audits(4)] == ["allow", "allow", "deny", "deny"]


def test_the_shipped_configuration(upstreams, upstream, desk):
    rendered = render(
        (ROOT / "envoy/config/approvals.json").read_text(),
        template=ROOT / "envoy/approvals/envoy.yaml",
        MODULE=os.environ["PORTCULLIS_WASM"],
        ACCESS_LOG="ACCESS_LOG_PATH",
        JWT_KEY=base64.urlsafe_b64encode(JWT_KEY).rstrip(b"=").decode(),
        LISTENER_PORT=0,
        ADMIN_PORT=0,
        PRIMARY_PORT=upstreams[0].port,
        APPROVALS_PORT=desk.api,
    )
    plugin = (ROOT / "envoy/config/approvals.json").read_text()
    proxy = Envoy(Options(plugin, whole=yaml.safe_load(rendered)), upstreams[0].port, upstreams[1].port)
    try:
        who = bearer(iss="https://login.example.com/", sub="ann")
        assert proxy.chat("hi", headers=[who]).status == 200
        answer = proxy.chat("hi", headers=[who], model="opus", max_tokens=8000)
        assert answer.status == 403 and answer.json()["error"]["code"] == "approval.pending"
        assert [line(r)["why"] if r.get("approval") else None for r in proxy.audits(2)] == [None, ["cost"]]
        assert not proxy.faults()
    finally:
        proxy.kill()


# --- the page ---


def question(number, subject="ann", **more):
    return {"v": 1, "id": f"{number:032x}", "why": ["tool"], "subject": subject, "groups": [], "chain": [], "calls": [], **more}


def test_the_page_shows_what_it_is_told_as_text(desk, browser, tmp_path):
    evil = '"><img src=x onerror="document.title=1"><script>document.title=1</script>'
    hidden = "db.read\u202e\u200bevil"
    asked = question(1, evil, groups=[evil], chain=[evil], model=evil, policy=evil, server=evil, calls=[{"name": evil, "arguments": evil, "bytes": 9}, {"name": hidden, "bytes": 70000}])
    assert desk.ask(asked) == "pending"
    browser.open(desk.url)
    card = f"#r{asked['id']}"
    assert browser.text(f"{card} h3") == evil
    assert evil in browser.text(f"{card} pre") and not browser.all(f"{card} img, {card} script, {card} pre *")
    assert "U+202E" in browser.text(f"{card} .calls") and "U+200B" in browser.text(f"{card} .calls")
    assert "70,000 bytes of arguments, not shown" in browser.text(card)
    assert "Approvals" in browser.run("return document.title")
    assert not [entry for entry in browser.console() if entry["level"] == "SEVERE" and "favicon" not in entry["message"]]
    # Would a script get in, it would not run.
    browser.run("const s = document.createElement('script'); s.textContent = 'document.title = 1'; document.body.append(s)")
    assert "Approvals" in browser.run("return document.title")
    # What comes in meanwhile is announced, and moves nothing.
    assert not browser.run("return document.getElementById('news').checkVisibility()")
    assert desk.ask(question(2)) == "pending"
    browser.wait(lambda: browser.run("return document.getElementById('news').checkVisibility()"), "the news")
    assert not browser.all(f"#r{question(2)['id']}")


def test_no_other_site_decides(desk, browser):
    asked = question(3)
    assert desk.ask(asked) == "pending"
    status, body, headers = desk.send(desk.page, "GET", "/")
    cookie = headers["set-cookie"]
    assert "SameSite=Strict" in cookie and "HttpOnly" in cookie
    session = cookie.split(";")[0]
    token = body.split(f'name="id" value="{asked["id"]}"><input type="hidden" name="token" value="')[1].split('"')[0]
    form = {"id": asked["id"], "decision": "hour", "token": token}
    kind = "application/x-www-form-urlencoded"

    def decide(form, **headers):
        return desk.send(desk.page, "POST", "/decide", urlencode(form), content_type=kind, **headers)[0]

    assert decide(form) == 403
    assert decide(form, cookie="session=other") == 403
    assert decide(form | {"token": "0" * 64}, cookie=session) == 403
    assert decide(form | {"id": f"{4:032x}"}, cookie=session) == 403
    assert decide(form, cookie=session, origin="http://evil.test") == 403
    assert decide(form | {"decision": "always"}, cookie=session) == 400
    assert desk.send(desk.page, "GET", "/", host="evil.test")[0] == 421
    assert desk.ask(asked) == "pending"
    # A form on another site, in a browser that has looked at the page.
    browser.open(desk.url)
    evil = f'<form method=post action="{desk.url}decide"><input name=id value={asked["id"]}><input name=decision value=hour><input name=token value={token}></form>'
    browser.open("data:text/html," + evil)
    browser.run("document.forms[0].submit()")
    browser.wait(lambda: "out of date" in browser.text("h1"), "the refusal")
    assert desk.ask(asked) == "pending"
    assert decide(form, cookie=session, origin=f"http://127.0.0.1:{desk.page}") == 303
    assert desk.ask(asked) == "allow"
    assert decide(form | {"decision": "deny"}, cookie=session) == 409
    assert desk.ask(asked) == "allow"


def test_the_desk_knows_its_users_keeps_its_state_and_its_bounds(tmp_path):
    users = tmp_path / "users"
    users.write_text("eve:a word\n")
    state = tmp_path / "state.json"
    desk = Desk("--users", str(users), "--state", str(state))
    try:
        asked = question(7)
        assert desk.ask(asked) == "pending"
        for given in ({}, {"authorization": "Basic ZXZlOm5v"}, {"authorization": "Basic ####"}):
            status, body, _ = desk.send(desk.page, "GET", "/", **given)
            assert (status, body) == (401, "")
        status, body, headers = desk.send(desk.page, "GET", "/", authorization="Basic ZXZlOmEgd29yZA==")
        assert status == 200 and "you are eve" in body
        # The filter's port has no page.
        assert desk.send(desk.api, "GET", "/")[0] == 501
        for body, key, said in (
            ("{", "0" * 32, "not JSON"),
            ('{"v":2}', "0" * 32, "v:"),
            (json.dumps(question(8)), f"{9:032x}", "id:"),
            (json.dumps(question(8) | {"subject": 7}), f"{8:032x}", "subject:"),
            (json.dumps(question(8) | {"calls": [{"name": 7}]}), f"{8:032x}", "calls:"),
        ):
            status, answer, _ = desk.send(desk.api, "POST", "/v1/approvals", body, idempotency_key=key)
            assert status == 400 and said in answer
        for number in range(100, 1099):
            assert desk.ask(question(number, f"agent-{number % 20}")) == "pending"
        status, answer, _ = desk.send(desk.api, "POST", "/v1/approvals", json.dumps(question(5000)), idempotency_key=question(5000)["id"])
        assert status == 503
        assert desk.ask(asked) == "pending"
        # It ends by itself, and writes what is left.
        desk.process.terminate()
        desk.process.wait(10)
        assert len(json.loads(state.read_text())) == 1000
    finally:
        desk.stop()
    again = Desk("--state", str(state))
    try:
        assert f'id="r{asked["id"]}"' in again.send(again.page, "GET", "/")[1]
    finally:
        again.stop()


# --- the server's parts ---


def store_at(tmp_path=None):
    """A store whose clock stands still until it is told."""
    now = [1000.0]
    return server.Store(tmp_path and tmp_path / "state.json", clock=lambda: now[0]), now


def test_a_subject_takes_no_room_from_others():
    store, now = store_at()
    for number in range(server.MAX_WAITING):
        assert store.ask(question(number))[0] == "pending"
    # Told to wait, and not kept.
    for number in range(500, 600):
        assert store.ask(question(number)) == ("pending", "too many requests of this caller wait already")
    assert len(store.entries) == server.MAX_WAITING
    assert store.ask(question(0)) == ("pending", "waiting for a human")
    assert store.ask(question(1000, "bob"))[0] == "pending"
    # What is decided waits no more.
    assert store.decide(question(0)["id"], "hour", "", "eve")
    assert store.ask(question(500)) == ("pending", "waiting for a human")
    assert store.ask(question(0))[0] == "allow"
    subjects = (f"agent-{number}" for number in range(1000))
    with pytest.raises(server.Full):
        for number, subject in enumerate(subjects, 2000):
            store.ask(question(number, subject))
    assert len(store.entries) == server.MAX_ENTRIES
    now[0] += server.PENDING_S + 1
    assert store.ask(question(9000))[0] == "pending" and len(store.entries) == 1


OTHERS = {
    "subject": "bob",
    "chain": ["bot"],
    "policy": "other",
    "calls": [{"name": "get", "arguments": "{}", "bytes": 2}],
    "model": "other",
    "server": "wiki",
    "host": "b.example",
    "path": "/b",
    "why": ["cost"],
    "stage": "answer",
}


def test_another_question_under_an_id_has_no_decision(desk):
    assert set(OTHERS) == set(server.SAME)
    asked = question(20, "mia", stage="request", calls=[{"name": "db.drop", "arguments": "{}", "bytes": 2}], estimated_cost_usd=1.5)
    asked |= {"policy": "all", "model": "dear", "server": "jira", "host": "a.example", "path": "/a"}
    store, now = store_at()
    assert store.ask(asked)[0] == desk.ask(asked) == "pending"
    assert store.decide(asked["id"], "once", "", "eve")
    now[0] += 1
    for name, value in OTHERS.items():
        for other in (asked | {name: value}, {k: v for k, v in asked.items() if k != name or k in ("subject", "calls")}):
            if other != asked:
                with pytest.raises(server.Clash):
                    store.ask(other)
        status, body, _ = desk.send(desk.api, "POST", "/v1/approvals", json.dumps(asked | {name: value}), idempotency_key=asked["id"])
        assert status == 409 and "decision" not in json.loads(body), name
    # Nothing of it counts, and the call itself is none the worse.
    assert (store.entries[asked["id"]].asked, store.entries[asked["id"]].last) == (1, 1000.0)
    assert store.ask(asked | {"estimated_cost_usd": 2, "groups": ["new"]})[0] == "allow"
    assert desk.ask(asked | {"estimated_cost_usd": 2, "more": {"to": "come"}}) == "pending"


def test_the_file_is_written_now_and_then_and_when_it_matters(tmp_path, monkeypatch):
    written = []
    replace = os.replace
    slow = threading.Event()

    def put(*names):
        written.append(names)
        assert slow.wait(10)
        replace(*names)

    monkeypatch.setattr(server.os, "replace", put)
    monkeypatch.setattr(server, "SAVE_S", 60)
    store, _ = store_at(tmp_path)

    def kept():
        return json.loads(store.path.read_text())

    for number in range(300):
        store.ask(question(number, f"agent-{number % 5}"))
        while not written:
            time.sleep(0.01)
    # One write that takes long held nobody up.
    assert len(written) == 1 and not store.path.exists()
    slow.set()
    key = question(7)["id"]
    assert store.decide(key, "once", "go on", "eve")
    assert len(kept()) == 300 and kept()[key]["decision"] == "allow"
    assert store.ask(question(7, "agent-2"))[0] == "allow"
    assert key not in kept() and store.ask(question(7, "agent-2"))[0] == "pending"
    assert key not in kept()
    store.save()
    assert key in kept() and len(kept()) == 301
    assert len(written) == 4
    again = server.Store(store.path, clock=store.clock)
    assert again.entries == store.entries
    # A disk that is full stops nobody, and is tried again.
    monkeypatch.setattr(server.os, "replace", lambda *_: (_ for _ in ()).throw(OSError("no room")))
    assert store.decide(key, "deny", "", "eve") and store.changed.is_set()
    assert store.ask(question(7, "agent-2"))[0] == "deny"
    store.changed.clear()


def test_the_file_is_written_by_itself(tmp_path):
    state = tmp_path / "state.json"
    desk = Desk("--state", str(state))
    try:
        for number in (1, 2):
            assert desk.ask(question(number)) == "pending"
        ends = time.monotonic() + 10
        while not state.exists() or len(json.loads(state.read_text())) < 2:
            assert time.monotonic() < ends
            time.sleep(0.05)
    finally:
        desk.stop()


@pytest.mark.parametrize(
    "more",
    [
        *({"estimated_cost_usd": cost} for cost in (10**400, -1, 10**11, float("inf"), float("nan"), True, "1", None)),
        *({"calls": [{"name": "x", "bytes": size}]} for size in (10**400, -1, 1.5, True, "1", None)),
        *({"calls": [{"name": "x", name: value}]} for name, value in (("arguments", {}), ("args_hash", {"a": {}}), ("args_hash", [1]))),
        *({name: {}} for name in server.WORDS),
    ],
    ids=lambda more: json.dumps(more)[:50],
)
def test_a_question_out_of_bounds_is_none(more):
    asked = question(1, **more)
    with pytest.raises(server.Wrong):
        server.read_question(json.dumps(asked).encode(), asked["id"])


def test_what_is_deep_or_unknown_is_not_kept():
    def read(body):
        return server.read_question(body, question(1)["id"])

    asked = question(1, calls=[{"name": "x", "bytes": 7, "args_hash": {"sha256": "0"}, "arguments": None}], estimated_cost_usd=0.5)
    kept = {name: value for name, value in asked.items() if name != "v"}
    assert read(json.dumps(asked | {"more": [[[1]]]}).encode()) == kept
    for depth in (300, 100_000):
        body = json.dumps(asked)[:-1].encode() + b', "more": ' + b"[" * depth + b"]" * depth + b"}"
        try:
            assert read(body) == kept
        except server.Wrong:
            assert depth == 100_000


def test_one_bad_entry_does_not_take_the_page():
    good, bad = question(1, "mia"), question(2, "zoe", estimated_cost_usd=10**400)
    for decision in ("pending", "deny"):
        entries = [(asked["id"], server.Entry(asked, 1, 1.0, 1.0, decision)) for asked in (bad, good)]
        html = page.render(entries, lambda key: f"token-{key}", "eve", 2.0)
        assert "mia" in html and "zoe" not in html and html.count("cannot be shown") == 1
        shown = html.count('value="deny"'), html.count('value="once"'), html.count('value="hour"')
        assert shown == ((2, 1, 1) if decision == "pending" else (0, 0, 0))
        assert f"token-{bad['id']}" in html or decision != "pending"


def test_what_would_not_show_is_written_out():
    for code in (0x3164, 0x115F, 0x1160, 0xFFA0, 0x2800, 0xFE0F, 0x34F, 0xE0100, 0x180B, 0x17B4, 0x200D, 0x202E, 0xAD, 0xA0, 0xE0041):
        for before in ("", "a", " ", "1", "\u0e01"):
            shown = page.visible(f"{before}{chr(code)}b")
            assert shown == f'{before}<span class="odd">U+{code:04X}</span>b', hex(code)
    for code in (0x301, 0x338, 0x20DD, 0x20E3):
        for before in ("", " ", "/", "1", "\u3164", "\n"):
            assert f"U+{code:04X}" in page.visible(before + chr(code), lines=True), hex(code)
            assert f"U+{code:04X}" in page.visible(before + "\u0300" + chr(code), lines=True), hex(code)
    # Words of any language stay as they are.
    for word in ("e\u0301t\u00e9", "\u0e17\u0e35\u0e48", "\u0939\u093f\u0928\u094d\u0926\u0940", "\u05e9\u05b8\u05dc\u05d5\u05b9\u05dd", "\u1112\u1161\u11ab", "\ud55c", "a b"):
        assert page.visible(word) == word
