"""The harness itself, on an Envoy without the filter: what a test sends is
what the upstream sees, so that a difference elsewhere is the filter's."""

import gzip
import threading
import time

import pytest
from client import LAST_CHUNK, Http1, chunk, head
from envoy import bearer
from upstream import Delay, Hold, Reply, Reset, chat_reply, chat_stream


def test_bodies_and_chunks_arrive_as_sent(envoy, upstream):
    proxy = envoy(None)
    answer = proxy.request("POST", "/x", chunks=[b"a", b"b" * 70_000, b"c"], pause=0.01)
    assert (answer.status, answer.complete) == (200, True)
    assert upstream.last.body == b"a" + b"b" * 70_000 + b"c"
    assert proxy.logged()[0]["audit"] is None


def test_a_connection_is_used_again(envoy, upstream):
    with Http1(envoy(None).port) as connection:
        for number in range(3):
            assert connection.request("POST", f"/{number}", b"{}").complete
    assert [r.path for r in upstream.requests] == ["/0", "/1", "/2"]


def test_http2_trailers_end_a_stream(envoy, upstream):
    answer = envoy(None).http2("POST", "/x", frames=[b"abc", b"d" * 100_000], trailers=[("x-end", "1")])
    assert (answer.status, answer.complete) == (200, True)
    assert upstream.last.body == b"abc" + b"d" * 100_000


def test_streams_keep_their_pieces_and_their_pace(envoy, upstream):
    upstream.reply = chat_stream(["Hel", "lo"])
    answer = envoy(None).chat("hi", stream=True)
    assert answer.text() == "Hello"
    upstream.reply = Reply.stream([b"data: 1\n\n", Delay(0.2), b"data: 2\n\n"])
    pieces = envoy(None).request("POST", "/x", b"").pieces
    assert pieces[-1][0] - pieces[0][0] > 0.15


def test_a_held_answer_waits_for_the_test(envoy, upstream):
    hold = Hold()
    upstream.reply = Reply.stream([b"data: 1\n\n", hold, b"data: 2\n\n"])
    threading.Timer(0.1, hold.event.set).start()
    assert envoy(None).request("POST", "/x", b"").events() == [1, 2]


def test_a_reset_cuts_the_answer(envoy, upstream):
    upstream.reply = Reply.stream([b"data: 1\n\n", Delay(0.05), Reset()])
    assert not envoy(None).request("POST", "/x", b"").complete


def test_a_client_that_hangs_up_is_seen(envoy, upstream):
    upstream.reply = Reply.stream([b"data: 1\n\n", Delay(5)])
    connection = Http1(envoy(None).port)
    connection.send(head("POST", "/x", [("host", "a"), ("transfer-encoding", "chunked")]) + chunk(b"{}") + LAST_CHUNK)
    upstream.wait()
    connection.hang_up()
    until = time.monotonic() + 3
    while not upstream.last.aborted and time.monotonic() < until:
        time.sleep(0.01)
    assert upstream.last.aborted


def test_bytes_outside_ascii_in_a_header(envoy, upstream):
    envoy(None).request("GET", "/x", headers=[("x-odd", b"\xff\xfe")])
    assert dict(upstream.last.headers)["x-odd"] == b"\xff\xfe"


def test_the_decompressor_opens_requests(envoy, upstream):
    proxy = envoy(None, decompressor=True)
    proxy.request("POST", "/x", gzip.compress(b"plain" * 100), headers=[("content-encoding", "gzip")])
    assert upstream.last.body == b"plain" * 100


@pytest.mark.parametrize(
    ("mode", "headers", "status"),
    [
        ("required", [], 401),
        ("required", [bearer(sub="a")], 200),
        ("required", [("authorization", "Bearer x.y.z")], 401),
        ("optional", [], 200),
        ("optional", [("authorization", "Bearer x.y.z")], 401),
    ],
)
def test_tokens_are_checked(envoy, upstream, mode, headers, status):
    assert envoy(None, jwt=mode).request("GET", "/x", headers=headers).status == status


def test_routes_by_model(envoy, upstream, secondary):
    proxy = envoy(None, routes=[("claude-*", "secondary")])
    proxy.request("GET", "/x", headers=[("x-portcullis-model", "claude-x")])
    proxy.request("GET", "/x", headers=[("x-portcullis-model", "gpt")])
    assert (len(upstream.requests), len(secondary.requests)) == (1, 1)


@pytest.mark.parametrize("trouble", ["error", "down"])
def test_failover_takes_the_second_cluster(envoy, upstream, secondary, trouble):
    proxy = envoy(None, failover=True)
    secondary.reply = chat_reply("from the second")
    if trouble == "down":
        upstream.down()
    upstream.reply = Reply.json({}, status=503)
    for _ in range(3):
        assert proxy.chat("hi").text() == "from the second"
    assert {line["upstream"] for line in proxy.logged(3)} == {f"127.0.0.1:{secondary.port}"}
