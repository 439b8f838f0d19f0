"""What is out of the ordinary for a subject, over Envoy's shared data: two workers,
a real clock with short intervals, and each time a subject that does as ever."""

import concurrent.futures
import copy
import json
import time

import pytest
from plugin import plugin
from test_reload import reloads, wait_until
from upstream import Reply, Upstream, chat_reply, chat_stream, usage

ANN = ("x-agent-id", "ann")
BOB = ("x-agent-id", "bob")
OPS = ("x-agent-id", "ops-1")
JSON = ("content-type", "application/json")
ENDPOINT = "/.well-known/portcullis/baseline"
LEARNED = 6
# Tests of names run over several intervals, whose edges they do not see.
NAMES = {"per": {"rate": "allow", "spend": "allow", "unusual_hour": "allow"}}


def config(act="block", numbers=None, **per):
    base = plugin(rules={"packs": ["code"]})
    habits = {"action": act, "per": NAMES["per"] | per}
    base["policies"][0] |= {"baseline": habits}
    base["baseline"] = {
        "learn": "1s",
        "learn_requests": LEARNED,
        "interval": "2s",
        "jump": {"intervals": 2, "min_requests": 8, "min_tokens": 200},
        "admin": {"path": ENDPOINT, "subjects": ["ops-*"]},
        **(numbers or {}),
    }
    return base


def function(name):
    return {"type": "function", "function": {"name": name, "parameters": {"type": "object"}}}


TOOLS = {"tools": [function("search"), function("delete")]}


def calling(name, tokens=2):
    call = {"index": 0, "id": "c1", "type": "function", "function": {"name": name, "arguments": '{"q":1}'}}
    message = {"role": "assistant", "content": None, "tool_calls": [call]}
    choices = [{"index": 0, "message": message, "finish_reason": "tool_calls"}]
    return Reply.json({"model": "gpt-4o-mini", "choices": choices, "usage": usage(tokens, 0)})


def mcp(proxy, who, tool, server="jira"):
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": tool, "arguments": {}}}
    return proxy.request("POST", f"/mcp/{server}", json.dumps(message).encode(), headers=[who, JSON])


def script(request):
    if request.path.startswith("/mcp/"):
        return Reply.json({"jsonrpc": "2.0", "id": 1, "result": {"content": []}})
    return calling("search")


def learn(proxy, upstream):
    """Both subjects, until both are known."""
    upstream.script = script
    for n in range(LEARNED):
        for who in (ANN, BOB):
            assert proxy.chat("hi", headers=[who], **TOOLS).status == 200
            assert mcp(proxy, who, "find").status == 200
        if n == 0:
            time.sleep(1.1)
    proxy.audits(4 * LEARNED)
    proxy.mark()


def kinds(record):
    return [a["kind"] for a in record.get("anomalies", [])]


@pytest.mark.parametrize("act", ["block", "flag"])
def test_new_names(own_envoy, upstream, act):
    proxy = own_envoy(config(act), workers=2)
    learn(proxy, upstream)
    asks = [
        ("anomaly.new_model", lambda who: proxy.chat("hi", model="gpt-4o", headers=[who])),
        ("anomaly.new_tool", lambda who: proxy.chat("hi", headers=[who], tools=[function("shell")])),
        ("anomaly.new_tool", lambda who: mcp(proxy, who, "erase")),
        ("anomaly.new_mcp_server", lambda who: mcp(proxy, who, "find", "evil")),
    ]
    for code, ask in asks:
        # Thrice: what is blocked is not learned, what is flagged is.
        for n in range(3):
            answer = ask(ANN)
            proxy.chat("hi", headers=[BOB], **TOOLS)
            ann, bob = proxy.audits(2)
            proxy.mark()
            assert kinds(bob) == [] and bob["decision"] == "allow"
            if act == "block":
                # MCP has its errors in a body that is no error of HTTP.
                assert answer.status in (403, 200) and code.encode() in answer.body and answer.header("x-portcullis-rule") == code
                assert ann["deny_reason"] == code and ann["upstream_status"] is None
            else:
                assert answer.status == 200 and ann["decision"] == "allow"
            found = code in kinds(ann)
            assert found == (act == "block" or n == 0), (code, n, ann)
            assert any(f["rule"] == code and f["action"] == act and f["enforced"] for f in ann["findings"]) == found


def test_a_tool_that_a_model_calls_for_the_first_time(own_envoy, upstream):
    proxy = own_envoy(config(), workers=2)
    learn(proxy, upstream)
    for tool in ("search", "delete"):
        upstream.script = lambda r, tool=tool: calling(tool)
        answer = proxy.chat("hi", headers=[ANN], **TOOLS)
        assert (answer.status, b"tool_calls" in answer.body) == ((200, True) if tool == "search" else (403, False))
        upstream.script = lambda r, tool=tool: stream_calling(tool)
        answer = proxy.chat("hi", headers=[BOB], stream=True, **TOOLS)
        assert answer.status == 200 and answer.complete and (b"letters" in answer.body) == (tool == "search")
        assert (b"anomaly.new_tool" in answer.body) == (tool == "delete")
    records = proxy.audits(4)
    assert [(r["subject"], r["deny_reason"]) for r in records] == [("ann", None), ("bob", None), ("ann", "anomaly.new_tool"), ("bob", "anomaly.new_tool")]
    assert [a.get("name") for r in records for a in r.get("anomalies", [])] == ["delete", "delete"]


def stream_calling(tool):
    def event(delta):
        return b"data: " + json.dumps({"model": "gpt-4o-mini", "choices": [{"index": 0, "delta": delta}]}).encode() + b"\n\n"

    call = {"index": 0, "id": "c1", "type": "function", "function": {"name": tool, "arguments": ""}}
    more = {"index": 0, "function": {"arguments": '{"letters":1}'}}
    reply = chat_stream([])
    reply.parts[1:1] = [event({"tool_calls": [call]}), event({"tool_calls": [more]})]
    return reply


def test_a_version_that_never_answered(own_envoy, upstream):
    proxy = own_envoy(config("flag", new_served_model="block"), workers=2)
    learn(proxy, upstream)
    upstream.script = lambda r: chat_reply(model="gpt-4o-mini-2031")
    assert proxy.chat("hi", headers=[ANN]).json()["error"]["code"] == "anomaly.new_served_model"
    upstream.script = lambda r: chat_reply()
    assert proxy.chat("hi", headers=[BOB]).status == 200
    ann, bob = proxy.audits(2)
    assert ann["anomalies"] == [{"kind": "anomaly.new_served_model", "name": "gpt-4o-mini-2031"}] and kinds(bob) == []


def test_monitor_mode_only_tells(own_envoy, upstream):
    proxy = own_envoy(config() | {"mode": "monitor"}, workers=2)
    learn(proxy, upstream)
    for _ in range(2):
        assert proxy.chat("hi", model="gpt-4o", headers=[ANN]).status == 200
        assert proxy.chat("hi", headers=[BOB]).status == 200
    records = proxy.audits(4)
    assert [r["would_deny"] for r in records] == ["anomaly.new_model", None, "anomaly.new_model", None]


def test_a_human_approves_what_is_new(own_envoy, upstream):
    service = Upstream()
    try:
        wanted = config("flag", new_model="approve")
        wanted["approvals"] = {"desk": {"cluster": "desk", "timeout_ms": 2000}}
        wanted["policies"][0]["approval"] = {"service": "desk"}
        proxy = own_envoy(wanted, workers=2, clusters={"desk": service.port})
        learn(proxy, upstream)
        for decision, status in (("deny", 403), ("allow", 200)):
            service.script = lambda r, decision=decision: Reply.json({"id": r.json()["id"], "decision": decision})
            assert proxy.chat("hi", model="gpt-4o", headers=[ANN]).status == status
            assert proxy.chat("hi", headers=[BOB]).status == 200
        # What was approved is known.
        assert proxy.chat("hi", model="gpt-4o", headers=[ANN]).status == 200
        assert [r.json()["why"] for r in service.requests] == [["anomaly"]] * 2
        records = proxy.audits(5)
        assert [(r["subject"], kinds(r), r["deny_reason"]) for r in records] == [
            ("ann", ["anomaly.new_model"], "approval.denied"),
            ("bob", [], None),
            ("ann", ["anomaly.new_model"], None),
            ("bob", [], None),
            ("ann", [], None),
        ]
    finally:
        service.stop()


def at_the_start_of_an_interval(seconds=2):
    time.sleep(seconds - time.time() % seconds + 0.05)


def work_as_ever(proxy, intervals):
    """Two calls an interval of either subject."""
    for _ in range(intervals):
        at_the_start_of_an_interval()
        for who in (ANN, BOB, ANN, BOB):
            assert proxy.chat("hi", headers=[who]).status == 200
    at_the_start_of_an_interval()


def test_a_rate_that_jumps_is_stopped_exactly(own_envoy, upstream):
    proxy = own_envoy(config(rate="block"), workers=2)
    upstream.script = lambda r: chat_reply()
    work_as_ever(proxy, 4)
    # Two are usual, three times that is less than the floor of eight.
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        statuses = list(pool.map(lambda _: proxy.chat("hi", headers=[ANN]).status, range(30)))
    assert proxy.chat("hi", headers=[BOB]).status == 200
    assert (statuses.count(200), statuses.count(403)) == (8, 22)
    at_the_start_of_an_interval()
    assert proxy.chat("hi", headers=[ANN]).status == 200
    records = proxy.audits(16 + 30 + 2)[16:]
    assert {r["deny_reason"] for r in records if r["subject"] == "bob"} == {None}
    denied = [r for r in records if r["deny_reason"] == "anomaly.rate"]
    assert len(denied) == 22 and {r["subject"] for r in denied} == {"ann"}
    assert denied[0]["anomalies"] == [{"kind": "anomaly.rate", "name": "requests", "value": 9, "limit": 8}]


def test_spend_that_jumps_stops_what_follows(own_envoy, upstream):
    proxy = own_envoy(config(spend="block"), workers=2)
    upstream.script = lambda r: chat_reply()
    work_as_ever(proxy, 4)
    upstream.script = lambda r: chat_reply(prompt=100, completion=101)
    assert proxy.chat("hi", headers=[ANN]).status == 200
    upstream.script = lambda r: chat_reply()
    assert proxy.chat("hi", headers=[ANN]).json()["error"]["code"] == "anomaly.spend"
    assert proxy.chat("hi", headers=[BOB]).status == 200
    at_the_start_of_an_interval()
    assert proxy.chat("hi", headers=[ANN]).status == 200
    records = proxy.audits(16 + 4)[16:]
    assert [(r["subject"], r["decision"], kinds(r)) for r in records] == [
        ("ann", "allow", ["anomaly.spend"]),
        ("ann", "deny", ["anomaly.spend"]),
        ("bob", "allow", []),
        ("ann", "allow", []),
    ]
    assert records[0]["anomalies"][0] == {"kind": "anomaly.spend", "name": "tokens", "value": 201, "limit": 200}


def test_it_survives_a_new_configuration(own_envoy, upstream):
    proxy = own_envoy(config("flag"), workers=2, ecds=True)
    learn(proxy, upstream)
    before = reloads(proxy)[0]
    changed = config("block")
    other = {**copy.deepcopy(changed["policies"][0]), "name": "other", "match": {"subjects": ["eve"]}}
    changed["policies"].insert(0, other)
    proxy.configure(changed)
    wait_until(lambda: reloads(proxy)[0] > before, "the configuration was not taken")

    def both():
        return [proxy.chat("hi", model=model, headers=[who]).status for who, model in ((ANN, "gpt-4o"), (BOB, "gpt-4o-mini"))]

    # Workers take it one after the other.
    wait_until(lambda: both() == [403, 200], "what was learned is gone")
    ann, bob = proxy.audits(2)[-2:]
    assert (ann["deny_reason"], bob["deny_reason"]) == ("anomaly.new_model", None)
    # A baseline that denies where it cannot ask is no reload's matter.
    assert reloads(proxy)[1] == 0


def test_an_operator_sees_and_resets(own_envoy, upstream):
    proxy = own_envoy(config(), workers=2)
    learn(proxy, upstream)

    def ask(who, method, subject="?subject=ann"):
        return proxy.request(method, ENDPOINT + subject, headers=[who])

    sent = len(upstream.requests)
    shown = ask(OPS, "GET")
    assert shown.status == 200 and shown.header("cache-control") == "no-store"
    known = shown.json()
    assert (known["subject"], known["learned"], known["requests"]) == ("ann", True, 2 * LEARNED)
    assert (known["models"], known["mcp_servers"], known["mcp_tools"]) == (["gpt-4o-mini"], ["jira"], ["jira/find"])
    assert (known["tools_offered"], known["tools_called"]) == (["search", "delete"], ["search"])
    assert ask(ANN, "GET").status == 403 and ask(ANN, "DELETE").status == 403
    assert proxy.chat("hi", model="gpt-4o", headers=[ANN]).status == 403
    assert ask(OPS, "DELETE").json()["models"] == ["gpt-4o-mini"]
    assert ask(OPS, "GET").status == 404
    assert ask(OPS, "GET", "").status == 400
    assert len(upstream.requests) == sent, "nothing of this goes upstream"
    # Ann is learned anew, Bob is known as before.
    assert proxy.chat("hi", model="gpt-4o", headers=[ANN]).status == 200
    assert proxy.chat("hi", model="gpt-4o", headers=[BOB]).status == 403
    records = proxy.audits(9)
    assert [(r["subject"], r["operation"], r["decision"], r["deny_reason"], r.get("baseline_of")) for r in records] == [
        ("ops-1", "baseline_show", "allow", None, "ann"),
        ("ann", "baseline_show", "deny", "baseline.operator", None),
        ("ann", "baseline_reset", "deny", "baseline.operator", None),
        ("ann", "chat", "deny", "anomaly.new_model", None),
        ("ops-1", "baseline_reset", "allow", None, "ann"),
        ("ops-1", "baseline_show", "deny", "baseline.none", "ann"),
        ("ops-1", "baseline_show", "deny", "baseline.request", None),
        ("ann", "chat", "allow", None, None),
        ("bob", "chat", "deny", "anomaly.new_model", None),
    ]


def test_what_is_shown_can_be_pasted_into_a_policy(own_envoy, upstream):
    proxy = own_envoy(config("flag"), workers=2)
    learn(proxy, upstream)
    shown = proxy.request("GET", ENDPOINT + "?subject=ann", headers=[OPS]).json()
    strict = plugin(rules={"packs": ["code"]})
    strict["policies"][0] |= shown["policy"]
    least = own_envoy(strict, workers=2)
    for who, model, tool in ((ANN, "gpt-4o-mini", "find"), (BOB, "gpt-4o", "erase")):
        fine = who is ANN
        assert (least.chat("hi", model=model, headers=[who], **TOOLS).status == 200) == fine
        assert (mcp(least, who, tool).header("x-portcullis-rule") is None) == fine
    assert [r["deny_reason"] for r in least.audits(4)] == [None, None, "policy.model", "policy.mcp_tool"]


def test_no_call_is_lost_between_workers(own_envoy, upstream):
    """Workers that swap the same cell at the same time: each must count."""
    proxy = own_envoy(config("flag", numbers={"learn_requests": 10**6}), workers=4)
    upstream.script = lambda r: chat_reply(prompt=1, completion=1)
    count = 400
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        statuses = list(pool.map(lambda n: proxy.chat("hi", headers=[ANN if n % 2 else BOB]).status, range(count)))
    assert statuses == [200] * count
    proxy.audits(count)
    for who in ("ann", "bob"):
        shown = proxy.request("GET", f"{ENDPOINT}?subject={who}", headers=[OPS]).json()
        assert shown["requests"] == count // 2 and 1 <= sum(shown["hours_utc"]) <= 2
