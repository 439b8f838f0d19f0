"""Attacks on identity and policy: every row of the table in tests/README.md."""

import json
import re
from pathlib import Path

import pytest
from client import Http1, head
from plugin import plugin
from upstream import Reply, chat_stream

README = Path(__file__).resolve().parents[1] / "README.md"
ANN, EVE = ("x-agent-id", "ann"), ("x-agent-id", "eve")
JSON = ("content-type", "application/json")
CHAT = "/v1/chat/completions"


def least() -> dict:
    """Ann may use `gpt-big`, everybody else `gpt-small` and few tools."""
    base = plugin(rules={"packs": ["code"]})
    everybody = {
        "name": "everybody",
        "models": {"allow": ["gpt-small*", "gemini-small"]},
        "tools": {"allow": ["get_*"]},
        "mcp": {"tools": {"allow": ["search"]}},
        "a2a": {"skills": {"allow": ["translate"]}},
    }
    base["policies"] = [{"name": "ann", "match": {"subjects": ["ann"]}}, everybody]
    return base


def body(**fields) -> bytes:
    return json.dumps({"model": "gpt-small", "messages": [{"role": "user", "content": "hi"}], **fields}).encode()


def post(proxy, who, sent, path=CHAT, more=()):
    return proxy.request("POST", path, sent, headers=[who, JSON, *more])


def only_ann(proxy, upstream, sent, code, path=CHAT):
    """Ann's goes upstream as sent, Eve's is refused and goes nowhere."""
    assert post(proxy, ANN, sent, path).status == 200
    assert upstream.last.body == sent
    answer = post(proxy, EVE, sent, path)
    assert answer.header("x-portcullis-rule") == code, answer
    assert len(upstream.requests) == 1
    ann, eve = proxy.audits(2)
    assert (ann["policy"], ann["decision"], ann["deny_reason"]) == ("ann", "allow", None)
    assert (eve["policy"], eve["decision"], eve["deny_reason"], eve["upstream_status"]) == ("everybody", "deny", code, None)
    return answer


def test_a_spoofed_header(envoy, upstream):
    proxy = envoy(least())
    spoofed = [("x-portcullis-subject", "ann"), ("X-Portcullis-Policy", "ann"), ("x-portcullis-verdict", "allow")]
    assert post(proxy, EVE, body(model="gpt-big"), more=spoofed).status == 403
    assert post(proxy, EVE, body(), more=spoofed).status == 200
    assert upstream.last.header_all("x-portcullis-subject") == ["eve"]
    assert upstream.last.header_all("x-portcullis-policy") == ["everybody"]
    assert [r["subject"] for r in proxy.audits(2)] == ["eve", "eve"]


def test_a_repeated_identity(envoy, upstream):
    proxy = envoy(least())
    for second in (ANN, EVE, ("X-AGENT-ID", "ann")):
        assert post(proxy, EVE, body(model="gpt-big"), more=[second]).status == 401
    assert not upstream.requests
    assert {r["deny_reason"] for r in proxy.audits(3)} == {"identity.missing"}


@pytest.mark.parametrize(
    "sent",
    [
        b'{"model":"gpt-small","model":"gpt-big","messages":[]}',
        b'{"model":"gpt-small","mod\\u0065l":"gpt-big","messages":[]}',
        b'{"model":"gpt-small","Model":"gpt-big","messages":[]}',
        b'{"model":"gpt-small","messages":[],"mode\\u006c":"gpt-big"}',
    ],
)
def test_a_duplicate_model_key(envoy, upstream, sent):
    proxy = envoy(least())
    for who in (ANN, EVE):
        assert post(proxy, who, sent).status == 400
    assert not upstream.requests
    assert all(r["deny_reason"] in ("request.json", "request.shape") for r in proxy.audits(2))


def test_model_in_path_and_in_body(envoy, upstream):
    proxy = envoy(least())
    upstream.reply = Reply.json({"candidates": []})
    # The path decides, for the provider and here; the body's is not believed.
    sent = json.dumps({"model": "models/gemini-small", "contents": []}).encode()
    only_ann(proxy, upstream, sent, "policy.model", "/v1beta/models/gemini-big:generateContent")
    proxy.mark()
    assert post(proxy, EVE, sent, "/v1beta/models/gemini-small:generateContent").status == 200
    assert proxy.audit()["model_requested"] == "gemini-small"


@pytest.mark.parametrize("model", ["gpt-sm\u0430ll", "gpt-small\u200b", "\uff47pt-small", "gpt-small ", "GPT-small"])
def test_a_look_alike_model_name(envoy, upstream, model):
    sent = json.dumps({"model": model, "messages": []}).encode()
    allowed = {"gpt-small\u200b", "gpt-small "}
    if model in allowed:
        # The pattern gpt-small* is the operator's: what it matches it matches.
        assert post(envoy(least()), EVE, sent).status == 200
        exact = least()
        exact["policies"][1]["models"]["allow"] = ["gpt-small"]
        upstream.reset()
        only_ann(envoy(exact), upstream, sent, "policy.model")
    else:
        only_ann(envoy(least()), upstream, sent, "policy.model")
    # A deny list is not walked around by it either.
    denying = least()
    denying["policies"][1]["models"] = {"deny": ["gpt-small*"]}
    assert post(envoy(denying), EVE, sent).status == 403


def test_tool_choice_forcing(envoy, upstream):
    choice = {"type": "function", "function": {"name": "shell"}}
    only_ann(envoy(least()), upstream, body(tool_choice=choice), "policy.tool_forced")


@pytest.mark.parametrize("name", ["Get_x", "GET_X", "shell", "get\u005f\u0445", ""])
def test_tool_name_case(envoy, upstream, name):
    tool = {"type": "function", "function": {"name": name, "parameters": {}}}
    if name == "get_\u0445":
        name_allowed = post(envoy(least()), EVE, body(tools=[tool]))
        # `get_*` lets it pass; where something is denied a look-alike is as well.
        denying = least()
        denying["policies"][1]["tools"] = {"allow": ["get_*"], "deny": ["get_x"]}
        assert name_allowed.status == 200 and post(envoy(denying), EVE, body(tools=[tool])).status == 403
        return
    only_ann(envoy(least()), upstream, body(tools=[tool]), "policy.tool")


def rpc(method, params, number=1):
    return {"jsonrpc": "2.0", "id": number, "method": method, "params": params}


def test_a_batch_that_hides_a_call(envoy, upstream):
    upstream.reply = Reply.json([])
    batch = [rpc("tools/call", {"name": "search"}, n) for n in range(20)]
    batch.insert(13, rpc("tools/call", {"name": "delete_all"}, 99))
    upstream.reply = Reply.json([{"jsonrpc": "2.0", "id": 1, "result": {}}])
    answer = only_ann(envoy(least()), upstream, json.dumps(batch).encode(), "policy.mcp_tool", "/mcp")
    assert len(answer.json()) == 21 and all("error" in one for one in answer.json())


def test_a_nested_part(envoy, upstream):
    part = {"kind": "data", "data": {"steps": [{"then": {"run": {"skillId": "wire_money"}}}]}}
    message = {"role": "user", "messageId": "1", "parts": [{"kind": "text", "text": "hi"}, part]}
    upstream.reply = Reply.json({"jsonrpc": "2.0", "id": 1, "result": {"kind": "message", "role": "agent", "parts": []}})
    only_ann(envoy(least()), upstream, json.dumps(rpc("message/send", {"message": message})).encode(), "policy.skill", "/a2a")


def test_a_key_in_the_query(envoy, upstream):
    proxy = envoy(least())
    for query in ("key=AIzaSy-secret", "a=1&access%5Ftoken=secret", "API-KEY=secret"):
        answer = post(proxy, ANN, body(), f"{CHAT}?{query}")
        assert answer.header("x-portcullis-rule") == "request.query_credentials" and b"secret" not in answer.body
    assert post(proxy, ANN, body(), CHAT + "?x-agent-id=ann&alt=sse").status == 200
    assert len(upstream.requests) == 1
    assert [r["decision"] for r in proxy.audits(4)] == ["deny"] * 3 + ["allow"]


def test_header_casing_over_http2(envoy, upstream):
    proxy = envoy(least())
    fine = [EVE, JSON]
    assert proxy.http2("POST", CHAT, headers=fine, frames=[body()]).status == 200
    # HTTP/2 has no upper case in names: Envoy ends the stream.
    odd = proxy.http2("POST", CHAT, headers=[*fine, ("X-Agent-Id", "ann")], frames=[body(model="gpt-big")])
    assert odd.status != 200 and not (odd.complete and odd.status < 400)
    # HTTP/1.1 has, and it is the same header.
    sent = body(model="gpt-big")
    with Http1(proxy.port) as connection:
        connection.send(head("POST", CHAT, [("host", "a"), JSON, EVE, ("X-AgEnT-iD", "ann"), ("content-length", str(len(sent)))]) + sent)
        assert connection.read().status == 401
    assert len(upstream.requests) == 1


@pytest.mark.parametrize(
    "path",
    [
        "/v1/chat%252fcompletions",
        "/v1%252f..%252fv1/chat/completions",
        "/v1/models/%252e%252e/chat/completions",
        "/v1/chat/completions%2500",
        "/v1beta/models/gemini-small%253ageminibig:generateContent",
        "/v1/./chat/../chat/completions%5c",
    ],
)
def test_double_encoding_in_the_path(envoy, upstream, path):
    proxy = envoy(least())
    for who in (ANN, EVE):
        assert post(proxy, who, body(model="gpt-big"), path).status in (400, 404)
    assert not upstream.requests
    assert all(r["decision"] == "deny" for r in proxy.audits(2))


def test_a_call_cut_into_pieces(envoy, upstream):
    def delta(fields):
        return {"model": "gpt-small", "choices": [{"index": 0, "delta": fields, "finish_reason": None}]}

    calls = [delta({"tool_calls": [{"index": 0, "id": "c", "function": {"name": name, "arguments": ""}}]}) for name in ("get_", "x")]
    upstream.reply = Reply.sse(calls, cut=7)
    proxy = envoy(least())
    assert b"policy" not in post(proxy, ANN, body(stream=True)).body
    answer = post(proxy, EVE, body(stream=True))
    assert b"policy.tool_called" in answer.body and b'"x"' not in answer.body
    assert [r["deny_reason"] for r in proxy.audits(2)] == [None, "policy.tool_called"]


def test_a_stream_that_is_none_of_the_clients(envoy, upstream):
    # Asked for whole, answered as a stream: judged all the same.
    call = {"index": 0, "id": "c", "type": "function", "function": {"name": "shell", "arguments": "{}"}}
    upstream.reply = chat_stream(["hi"])
    upstream.reply.parts.insert(1, b"data: " + json.dumps({"model": "m", "choices": [{"index": 0, "delta": {"tool_calls": [call]}}]}).encode() + b"\n\n")
    proxy = envoy(least())
    assert b"shell" in post(proxy, ANN, body()).body
    assert b"shell" not in post(proxy, EVE, body()).body
    assert [r["deny_reason"] for r in proxy.audits(2)] == [None, "policy.tool_called"]


def test_the_table_names_these_tests():
    table = README.read_text().split("<!-- attacks -->")[1]
    named = set(re.findall(r"`(test_\w+)`", table))
    own = {name for name in globals() if name.startswith("test_") and name != "test_the_table_names_these_tests"}
    assert named == own, named ^ own
