"""Quotas over Envoy's shared data: exact across workers, settled, released."""

import concurrent.futures
import json
import time

import pytest
from client import Http1, head
from plugin import AGENT, plugin
from upstream import Delay, Reply, chat_reply, chat_stream


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
