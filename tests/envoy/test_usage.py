"""Usage in streams: asked for where a provider sends it on request only, and
taken out again where the client had not asked."""

import json

import pytest
from plugin import AGENT, plugin
from upstream import Reply, chat_stream, usage

CHAT = "/v1/chat/completions"


def completion_stream(pieces, model="m", tokens=(9, 3)) -> Reply:
    base = {"id": "cmpl-1", "object": "text_completion", "created": 1, "model": model}
    events = [base | {"choices": [{"index": 0, "text": piece, "finish_reason": None}]} for piece in pieces]
    events.append(base | {"choices": [{"index": 0, "text": "", "finish_reason": "stop"}]})
    events.append(base | {"choices": [], "usage": usage(*tokens)})
    return Reply.sse(events)


def without_usage(reply: Reply) -> bytes:
    return b"".join(part for part in reply.parts if b'"choices": []' not in part)


ASKED = [
    (CHAT, {"messages": [{"role": "user", "content": "hi"}]}, chat_stream),
    ("/openai/deployments/d/chat/completions?api-version=2024-10-21", {"messages": [{"role": "user", "content": "hi"}]}, chat_stream),
    ("/v1/completions", {"prompt": "hi"}, completion_stream),
    ("/openai/deployments/d/completions?api-version=2024-10-21", {"prompt": "hi"}, completion_stream),
]


@pytest.mark.parametrize(("path", "body", "stream"), ASKED, ids=[path.split("?")[0] for path, *_ in ASKED])
@pytest.mark.parametrize("options", [None, {}, {"include_usage": False}, {"include_obfuscation": False}, {"include_usage": True}])
def test_the_filter_asks_and_the_client_sees_what_it_asked(envoy, upstream, path, body, stream, options):
    proxy = envoy(plugin())
    upstream.reply = stream(["Hello ", "there."])
    sent = {"model": "m", "stream": True} | body | ({} if options is None else {"stream_options": options})
    answer = proxy.request("POST", path, json.dumps(sent).encode(), headers=[("content-type", "application/json"), AGENT])
    assert answer.complete and answer.status == 200
    got = upstream.last.json()
    assert got["stream_options"] == (options or {}) | {"include_usage": True}
    assert {k: v for k, v in got.items() if k != "stream_options"} == {k: v for k, v in sent.items() if k != "stream_options"}
    whole = b"".join(upstream.reply.parts)
    asked = bool(options and options.get("include_usage"))
    assert answer.body == (whole if asked else without_usage(upstream.reply))
    record = proxy.audit()
    assert record["usage"] == {"input": 9, "output": 3, "cached": None, "reasoning": None, "source": "provider"}


def test_a_whole_answer_is_not_asked_for_more(envoy, upstream):
    proxy = envoy(plugin())
    proxy.chat("hi", headers=[AGENT])
    assert "stream_options" not in upstream.last.json()
    assert proxy.audit()["usage"]["source"] == "provider"


TURN = [{"role": "user", "content": "hi"}]
SSE = "text/event-stream"

#: Providers that count without being asked: path, body, content type, events, tokens.
UNASKED = {
    "anthropic": (
        "/v1/messages",
        {"model": "m", "max_tokens": 9, "messages": TURN, "stream": True},
        SSE,
        [
            {"type": "message_start", "message": {"id": "x", "type": "message", "role": "assistant", "model": "m", "content": [], "usage": {"input_tokens": 9, "output_tokens": 1}}},
            {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Hello."}},
            {"type": "content_block_stop", "index": 0},
            {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 3}},
            {"type": "message_stop"},
        ],
    ),
    "responses": (
        "/v1/responses",
        {"model": "m", "input": "hi", "stream": True},
        SSE,
        [
            {"type": "response.output_text.delta", "item_id": "i", "output_index": 0, "content_index": 0, "delta": "Hello.", "sequence_number": 1},
            {"type": "response.completed", "sequence_number": 2, "response": {"id": "r", "object": "response", "model": "m", "status": "completed", "output": [], "usage": {"input_tokens": 9, "output_tokens": 3, "total_tokens": 12}}},
        ],
    ),
    "gemini": (
        "/v1beta/models/gemini-2.0-flash:streamGenerateContent?alt=sse",
        {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]},
        SSE,
        [{"candidates": [{"content": {"role": "model", "parts": [{"text": "Hello."}]}, "index": 0, "finishReason": "STOP"}], "usageMetadata": {"promptTokenCount": 9, "candidatesTokenCount": 3, "totalTokenCount": 12}}],
    ),
    "cohere": (
        "/v2/chat",
        {"model": "m", "messages": TURN, "stream": True},
        SSE,
        [
            {"type": "content-delta", "index": 0, "delta": {"message": {"content": {"text": "Hello."}}}},
            {"type": "message-end", "delta": {"finish_reason": "COMPLETE", "usage": {"billed_units": {"input_tokens": 9, "output_tokens": 3}, "tokens": {"input_tokens": 9, "output_tokens": 3}}}},
        ],
    ),
    "ollama": (
        "/api/chat",
        {"model": "m", "messages": TURN},
        "application/x-ndjson",
        [
            {"model": "m", "message": {"role": "assistant", "content": "Hello."}, "done": False},
            {"model": "m", "message": {"role": "assistant", "content": ""}, "done": True, "done_reason": "stop", "prompt_eval_count": 9, "eval_count": 3},
        ],
    ),
}


@pytest.mark.parametrize("provider", UNASKED)
def test_providers_that_count_anyway_are_not_asked(envoy, upstream, provider):
    proxy = envoy(plugin())
    path, body, content_type, events = UNASKED[provider]
    if content_type == SSE:
        parts = [b"event: %b\ndata: %b\n\n" % (e.get("type", "message").encode(), json.dumps(e).encode()) for e in events]
    else:
        parts = [json.dumps(e).encode() + b"\n" for e in events]
    upstream.reply = Reply.stream(parts, content_type)
    sent = json.dumps(body).encode()
    answer = proxy.request("POST", path, sent, headers=[("content-type", "application/json"), AGENT])
    assert upstream.last.body == sent and answer.body == b"".join(parts)
    record = proxy.audit()
    assert (record["usage"]["input"], record["usage"]["output"], record["usage"]["source"]) == (9, 3, "provider")
