"""Quotas over Envoy's shared data: exact across workers, settled, released."""

import concurrent.futures
import json
import time

import pytest
from client import Http1, head
from plugin import AGENT, plugin
from upstream import Delay, Hold, Reply, chat_reply, chat_stream


def quotas(*rules, **more):
    return plugin(policy={"quotas": list(rules), **more})


def test_requests_up_to_the_limit(own_envoy, upstream):
    proxy = own_envoy(quotas({"name": "day", "per": "subject", "unit": "requests", "limit": 3, "window": "1d"}))
    statuses = [proxy.chat("hi", headers=[AGENT]).status for _ in range(5)]
    assert statuses == [200, 200, 200, 429, 429]
    answer = proxy.chat("hi", headers=[AGENT])
    assert int(answer.header("retry-after")) > 0 and answer.json()["error"]["code"] == "quota.day"
    assert proxy.chat("hi", headers=[("x-agent-id", "bob")]).status == 200
    record = [r for r in proxy.audits(7) if r["decision"] == "deny"][0]
    assert record["deny_reason"] == "quota.day"


def test_tokens_are_reserved_and_settled(own_envoy, upstream):
    rule = {"name": "tokens", "per": "subject", "unit": "tokens", "limit": 1000, "window": "1d"}
    proxy = own_envoy(quotas(rule))
    upstream.reply = chat_reply(prompt=100, completion=50)
    for n in range(4):
        assert proxy.chat("hi", headers=[AGENT], max_tokens=100).status == 200
        line = proxy.audits(n + 1)[-1]["quota"][0]
        assert (line["charged"], line["remaining"]) == (150, 1000 - 150 * (n + 1))
        assert 100 <= line["reserved"] <= 120
    # What is asked for at most does not fit any more, though little was used.
    answer = proxy.chat("hi", headers=[AGENT], max_tokens=500)
    assert answer.status == 429


@pytest.mark.parametrize("workers", [2, 4])
def test_parallel_requests_never_pass_the_limit(own_envoy, upstream, workers):
    rule = {"name": "n", "per": "subject", "unit": "requests", "limit": 20, "window": "1d"}
    proxy = own_envoy(quotas(rule), workers=workers)
    with concurrent.futures.ThreadPoolExecutor(64) as pool:
        statuses = list(pool.map(lambda _: proxy.chat("hi", headers=[AGENT]).status, range(64)))
    assert statuses.count(200) == 20 and statuses.count(429) == 44


def test_no_request_is_lost_between_workers(own_envoy, upstream):
    """Workers that swap the same cell at the same time: many more requests than
    the test above, so that some do, and each must count."""
    count, clients = 4000, 16
    rule = {"name": "n", "per": "subject", "unit": "requests", "limit": 2 * count, "window": "1d"}
    proxy = own_envoy(quotas(rule), workers=4)

    def ask(share: int) -> int:
        body = json.dumps({"model": "gpt-4o-mini", "messages": []}).encode()
        connection = Http1(proxy.port)
        headers = [("content-type", "application/json"), AGENT]
        return sum(connection.request("POST", "/v1/chat/completions", body, headers=headers).status == 200 for _ in range(share))

    with concurrent.futures.ThreadPoolExecutor(clients) as pool:
        assert sum(pool.map(ask, [count // clients] * clients)) == count
    proxy.mark()
    assert proxy.chat("hi", headers=[AGENT]).status == 200
    assert proxy.audit()["quota"][0]["remaining"] == count - 1


def test_a_failed_call_is_given_back(own_envoy, upstream):
    rule = {"name": "tokens", "per": "subject", "unit": "tokens", "limit": 300, "window": "1d"}
    proxy = own_envoy(quotas(rule))
    upstream.reply = Reply.json({"error": {"message": "no"}}, status=400)
    for _ in range(5):
        assert proxy.chat("hi", headers=[AGENT], max_tokens=200).status == 400
    upstream.reply = chat_reply(prompt=10, completion=10)
    assert proxy.chat("hi", headers=[AGENT], max_tokens=200).status == 200


def test_a_client_that_hangs_up_gives_back_what_was_not_produced(own_envoy, upstream):
    rule = {"name": "tokens", "per": "subject", "unit": "tokens", "limit": 300, "window": "1d"}
    proxy = own_envoy(quotas(rule))
    upstream.reply = chat_stream(["Hello "])
    upstream.reply.parts[2:] = [Delay(5)]
    body = json.dumps({"model": "m", "stream": True, "max_tokens": 200, "messages": [{"role": "user", "content": "hi"}]}).encode()
    for n in range(3):
        connection = Http1(proxy.port)
        headers = [("host", "a"), AGENT, ("content-length", str(len(body)))]
        connection.send(head("POST", "/v1/chat/completions", headers) + body)
        upstream.wait(n + 1)
        time.sleep(0.1)
        connection.hang_up()
        record = proxy.audits(n + 1)[-1]
        assert record["outcome"] == "aborted" and 0 < record["quota"][0]["charged"] < 20
    upstream.reply = chat_reply()
    assert proxy.chat("hi", headers=[AGENT], max_tokens=200).status == 200


def test_tokens_for_envoys_own_rate_limit(own_envoy, upstream):
    proxy = own_envoy(plugin())
    proxy.chat("hi", headers=[AGENT])
    assert proxy.logged()[0]["tokens"] == "12"


BOB = ("x-agent-id", "bob")


def test_clients_see_where_they_stand_in_their_dialects_names(own_envoy, upstream):
    proxy = own_envoy(quotas({"name": "n", "per": "subject", "unit": "requests", "limit": 2, "window": "1h"}))
    assert proxy.chat("hi", headers=[AGENT]).header("x-ratelimit-remaining-requests") == "1"
    upstream.reply = chat_stream(["Hello"])
    answer = proxy.chat("hi", headers=[AGENT], stream=True)
    assert (answer.status, answer.header("x-ratelimit-remaining-requests")) == (200, "0")
    answer = proxy.chat("hi", headers=[AGENT])
    assert (answer.status, answer.header("x-ratelimit-remaining-requests")) == (429, "0")
    assert 0 < int(answer.header("retry-after")) <= 3600
    message = {"model": "claude-x", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
    upstream.reply = Reply.json({"type": "message", "role": "assistant", "content": [], "usage": {"input_tokens": 1, "output_tokens": 1}})
    answer = proxy.request("POST", "/v1/messages", json.dumps(message).encode(), headers=[BOB])
    assert (answer.status, answer.header("anthropic-ratelimit-requests-remaining")) == (200, "1")
    records = proxy.audits(4)
    assert [(r["subject"], r["deny_reason"]) for r in records] == [("ann", None), ("ann", None), ("ann", "quota.n"), ("bob", None)]


def test_cost_is_not_limited_without_a_price(own_envoy, upstream):
    rule = {"name": "usd", "per": "subject", "unit": "cost_usd", "limit": 0.001, "window": "1d"}
    proxy = own_envoy(quotas(rule) | {"models": {"prices": {"gpt-4o-mini": {"input": 1, "output": 100}}}})
    answer = proxy.chat("hi", model="gpt-9", headers=[AGENT])
    assert (answer.status, answer.json()["error"]["code"]) == (403, "price.missing")
    upstream.reply = chat_reply(prompt=10, completion=5)
    assert proxy.chat("hi", headers=[AGENT], max_tokens=8).status == 200
    record = proxy.audits(2)[1]
    assert record["quota"][0]["charged"] == 10 * 1000 + 5 * 100_000 and record["cost_usd"] == 0.00051
    # 0.0005 dollars are left: less than 8 tokens of output may cost.
    assert proxy.chat("hi", headers=[AGENT], max_tokens=8).status == 429
    assert proxy.chat("hi", headers=[BOB], max_tokens=8).status == 200


def test_a_burst_passes_and_then_the_rate_holds(own_envoy, upstream):
    # One in five seconds, four at once. Ticks of the bucket, not of a window:
    # where in a minute the test runs does not matter.
    rule = {"name": "rate", "per": "subject", "unit": "requests", "limit": 12, "window": "1m", "burst": 4}
    proxy = own_envoy(quotas(rule), workers=2)
    began = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(lambda _: proxy.chat("hi", headers=[AGENT]), range(10)))
    refused = [a for a in answers if a.status == 429]
    assert len(answers) - len(refused) == 4 and time.monotonic() - began < 5
    assert {int(a.header("retry-after")) for a in refused} <= {1, 2, 3, 4, 5}
    assert proxy.chat("hi", headers=[BOB]).status == 200
    # What was promised is kept: one passes, and only one.
    time.sleep(5.1)
    assert [proxy.chat("hi", headers=[AGENT]).status for _ in range(2)] == [200, 429]
    records = proxy.audits(13)
    assert sorted((r["subject"], r["deny_reason"] or "") for r in records) == (
        [("ann", "")] * 5 + [("ann", "quota.rate")] * 7 + [("bob", "")]
    )


def test_an_agent_in_a_loop_is_stopped(own_envoy, upstream):
    proxy = own_envoy(quotas({"name": "loop", "per": "subject", "unit": "repeats", "limit": 3, "window": "1h"}))
    text = "The build failed again with exit code {}, please run it once more"
    statuses = [proxy.chat(text.format(n), headers=[AGENT]).status for n in range(5)]
    assert statuses == [200, 200, 200, 429, 429]
    assert proxy.chat("And what about lunch today?", headers=[AGENT]).status == 200
    assert proxy.chat(text.format(1), headers=[BOB]).status == 200
    assert proxy.audits(7)[3]["deny_reason"] == "quota.loop"


def test_a_stream_over_its_budget_is_cut_with_an_error(own_envoy, upstream):
    rule = {"name": "day", "per": "subject", "unit": "tokens", "limit": 2500, "window": "1d"}
    proxy = own_envoy(quotas(rule))
    upstream.reply = chat_stream(["four" * 10] * 400, tokens=None)
    # In pieces: what comes in one read is passed on in one.
    upstream.reply.parts = [part for n, p in enumerate(upstream.reply.parts) for part in ([p, Delay(0.02)] if n % 20 == 0 else [p])]
    answer = proxy.chat("hi", headers=[AGENT], stream=True)
    assert answer.status == 200 and answer.complete
    error = next(e["error"] for e in answer.events() if isinstance(e, dict) and "error" in e)
    assert (error["code"], error["type"]) == ("quota.day", "rate_limit_error") and answer.events()[-1] == "[DONE]"
    record = proxy.audits(1)[0]
    assert (record["decision"], record["deny_reason"]) == ("deny", "quota.day")
    assert 1500 <= record["quota"][0]["charged"] <= 2500
    upstream.reply = chat_stream(["four" * 10] * 100, tokens=None)
    answer = proxy.chat("hi", headers=[BOB], stream=True)
    assert answer.text() == "four" * 1000 and proxy.audits(2)[1]["decision"] == "allow"


def test_calls_in_flight_are_limited_by_subject(own_envoy, upstream):
    proxy = own_envoy(quotas({"name": "two", "per": "subject", "unit": "concurrent", "limit": 2}), workers=2)
    hold = Hold()
    upstream.reply = Reply.stream([b"data: {}\n\n", hold, b"data: [DONE]\n\n"])
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        running = [pool.submit(proxy.chat, "hi", headers=[AGENT], stream=True) for _ in range(2)]
        upstream.wait(2)
        assert proxy.chat("hi", headers=[AGENT]).json()["error"]["code"] == "quota.two"
        other = pool.submit(proxy.chat, "hi", headers=[BOB], stream=True)
        upstream.wait(3)
        hold.event.set()
        assert [call.result().status for call in [*running, other]] == [200, 200, 200]
    upstream.reply = chat_reply()
    assert proxy.chat("hi", headers=[AGENT]).status == 200
