"""Dialects where the path does not tell, disguises in streams, and the counters
of what was not inspected."""

import json

import pytest
from plugin import AGENT, CARD, EMAIL, plugin
from upstream import Reply, chat_reply, chat_stream

JSON = ("content-type", "application/json")
CALL = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "x", "arguments": {"to": EMAIL}}}


def post(proxy, path: str, value: object):
    return proxy.request("POST", path, json.dumps(value).encode(), headers=[JSON, AGENT])


def test_json_rpc_on_any_path_is_known_by_its_body(envoy, upstream):
    proxy = envoy(plugin())
    upstream.reply = Reply.json({"jsonrpc": "2.0", "id": 1, "result": {"content": [{"type": "text", "text": CARD}]}})
    answer = post(proxy, "/jira", CALL)
    assert upstream.last.json()["params"]["arguments"] == {"to": "[EMAIL]"}
    assert answer.json()["result"]["content"][0]["text"] == "[CARD-NUMBER]"
    assert proxy.audit()["dialect"] == "mcp"


def test_other_bodies_there_are_refused_or_pass_untouched(envoy, upstream):
    proxy = envoy(plugin())
    assert post(proxy, "/jira", {"to": EMAIL}).status == 404
    assert proxy.audit()["deny_reason"] == "traffic.unrecognised"
    proxy = envoy(plugin(traffic={"unrecognised": "flag", "max_request_bytes": 2000}))
    for value in ({"to": EMAIL}, {"to": EMAIL * 200}):
        assert post(proxy, "/jira", value).status == 200
        assert upstream.last.json() == value
        assert proxy.audit()["coverage_reasons"] == ["unrecognised"]
        proxy.mark()
    # A body that grows over the cap without having said so.
    body = json.dumps({"to": EMAIL * 200}).encode()
    chunks = [body[i : i + 500] for i in range(0, len(body), 500)]
    answer = proxy.request("POST", "/jira", chunks=chunks, pause=0.02, headers=[JSON, AGENT])
    assert answer.status == 200 and upstream.last.body == body


def test_a_route_names_the_dialect(envoy, upstream):
    proxy = envoy(plugin(), route_metadata={"dialect": "openai_chat"})
    upstream.reply = chat_reply(f"Mail {EMAIL}")
    answer = post(proxy, "/llm/ask", {"model": "m", "messages": [{"role": "user", "content": CARD}]})
    assert upstream.last.json()["messages"][0]["content"] == "[CARD-NUMBER]"
    assert answer.text() == "Mail [EMAIL]"
    assert proxy.audit()["dialect"] == "openai_chat"
    proxy = envoy(plugin(), route_metadata={"dialect": "opnai"})
    assert proxy.chat("hi", headers=[AGENT]).status == 404


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
def test_a_disguised_card_is_masked_in_a_stream(envoy, upstream, size):
    proxy = envoy(plugin())
    wide = "".join(chr(0xFF10 + int(c)) if c.isdigit() else c for c in CARD)
    thin = "\u200b".join(CARD)
    text = f"One: {wide}, two: {thin}. Done"
    upstream.reply = chat_stream([text[i : i + size] for i in range(0, len(text), size)])
    answer = proxy.chat("hi", headers=[AGENT], stream=True)
    assert answer.text() == "One: [CARD-NUMBER], two: [CARD-NUMBER]. Done" and answer.complete
    assert proxy.audit()["coverage"] == "full"


def test_gaps_are_counted_by_reason(own_envoy, upstream):
    proxy = own_envoy(plugin())
    proxy.request("POST", "/v1/completions", b'{"model":"m","prompt":[1,2,3]}', headers=[JSON, AGENT])
    image = {"type": "image_url", "image_url": {"url": "https://pictures.example/a.png"}}
    for _ in range(2):
        proxy.chat([{"role": "user", "content": [{"type": "text", "text": "hi"}, image]}], headers=[AGENT])
    found = [r["coverage_reasons"] for r in proxy.audits(3)]
    assert found == [["request.token_ids"], ["request.media"], ["request.media"]]
    counters = proxy.stats("coverage_gaps")
    by_reason = {name.split("reason.")[1]: value for name, value in counters.items() if value}
    assert by_reason["request_token_ids"] == 1 and by_reason["request_media"] == 2
