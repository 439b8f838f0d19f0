"""Streams that end in trailers: Envoy lets nothing be added behind the last
chunk, and no text may get lost in silence."""

import pytest
from plugin import AGENT, CARD, plugin
from upstream import Delay, Reply, chat_stream

TRAILERS = [("x-checksum", "1")]


def stream(pieces: list[str], joined: bool = False) -> Reply:
    """Events without the provider's last ones, each a chunk of its own or all
    in one, and trailers. The pauses keep Envoy from reading two at once."""
    parts = chat_stream(pieces, tokens=None).parts[1 : 1 + len(pieces)]
    spaced = [part for event in parts for part in (event, Delay(0.02))]
    return Reply.stream([b"".join(parts)] if joined else spaced, trailers=TRAILERS)


def ask(proxy):
    return proxy.chat("hi", headers=[AGENT], stream=True, stream_options={"include_usage": True})


@pytest.mark.parametrize(
    ("pieces", "want"),
    [
        (["Hello ", "Wor", "ld"], "Hello World"),
        (["Pay ", *CARD], "Pay [CARD-NUMBER]"),
        (["Pay ", *CARD[:-1]], "Pay " + CARD[:-1]),
        (["Hel"], "Hel"),
    ],
)
def test_withheld_text_leaves_before_the_trailers(envoy, upstream, pieces, want):
    proxy = envoy(plugin(), response_trailers=True)
    upstream.reply = stream(pieces)
    answer = ask(proxy)
    assert answer.text() == want and answer.complete
    assert ("x-checksum", "1") in answer.trailers
    record = proxy.audit()
    assert record["outcome"] == "complete" and record["coverage"] == "full"


def test_text_that_cannot_leave_any_more_is_a_reset_not_a_silence(envoy, upstream):
    proxy = envoy(plugin(), response_trailers=True)
    upstream.reply = stream(["Hello ", "Wor"], joined=True)
    answer = ask(proxy)
    assert not answer.complete and "Wor" not in answer.text()
    record = proxy.audit()
    assert record["deny_reason"] == "stream.trailers" and record["outcome"] == "refused"
    assert record["coverage_reasons"] == ["stream.trailers"]


def test_a_provider_that_ends_its_stream_has_nothing_withheld(envoy, upstream):
    proxy = envoy(plugin(), response_trailers=True)
    reply = chat_stream(["Hello ", "Wor"])
    upstream.reply = Reply.stream([b"".join(reply.parts)], trailers=TRAILERS)
    answer = ask(proxy)
    assert answer.complete and answer.text() == "Hello Wor" and answer.trailers
    assert proxy.audit()["outcome"] == "complete"


def test_a_whole_answer_with_trailers_is_masked(envoy, upstream):
    proxy = envoy(plugin(), response_trailers=True)
    body = b'{"choices":[{"index":0,"message":{"role":"assistant","content":"Pay %b"}}]}' % CARD.encode()
    upstream.reply = Reply(200, [("content-type", "application/json")], [body[:30], body[30:]], "chunked", TRAILERS)
    answer = proxy.chat("hi", headers=[AGENT])
    assert answer.text() == "Pay [CARD-NUMBER]" and answer.complete
