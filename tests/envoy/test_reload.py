"""The filter's configuration replaced over filesystem ECDS while requests run.
PORTCULLIS_RELOADS=1000 is the long run; `-s` shows the figures."""

import copy
import os
import threading
import time
from pathlib import Path

from plugin import plugin
from upstream import chat_reply, chat_stream

RELOADS = int(os.environ.get("PORTCULLIS_RELOADS", "40"))
CLIENTS = 4


def resident(proxy) -> int:
    """Resident memory of Envoy in KiB."""
    status = Path(f"/proc/{proxy.process.pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0])


def configuration(number: int) -> dict:
    config = plugin(rules={"packs": ["code"]})
    everybody = config["policies"][0]
    everybody["quotas"] = [{"name": "n", "per": "subject", "unit": "requests", "limit": 10**7, "window": "1month"}]
    # Another name each time, so that no two are equal.
    barred = {**copy.deepcopy(everybody), "name": f"barred-{number}", "match": {"subjects": ["eve"]}, "models": {"allow": ["none"]}}
    config["policies"] = [barred, everybody]
    return config


def reloads(proxy) -> tuple[int, int]:
    stats = proxy.stats("extension_config_discovery")
    done = sum(v for n, v in stats.items() if n.endswith("config_reload"))
    failed = sum(v for n, v in stats.items() if n.endswith(("config_fail", "update_rejected", "config_conflict")))
    return done, failed


def wait_until(true, what, timeout=20.0):
    until = time.monotonic() + timeout
    while not true():
        assert time.monotonic() < until, what
        time.sleep(0.005)


class Clients:
    """Whole and streamed requests without a pause, until stopped."""

    def __init__(self, proxy, upstream):
        self.proxy, self.over = proxy, threading.Event()
        upstream.script = lambda r: chat_stream(["Hello ", "there."] * 4) if b'"stream": true' in r.body else chat_reply("Hello there.")
        self.good = {"ann": 0, "eve": 0}
        self.failures: list[str] = []
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self._run, args=(n,), daemon=True) for n in range(CLIENTS)]
        for thread in self.threads:
            thread.start()

    def _run(self, number):
        who = "eve" if number == 0 else "ann"
        while not self.over.is_set():
            stream = number % 2 == 1
            try:
                answer = self.proxy.chat("hi", headers=[("x-agent-id", who)], stream=stream)
                fine = answer.complete and (answer.status == 403 if who == "eve" else answer.status == 200 and answer.text().startswith("Hello "))
                said = "" if fine else f"{who}: {answer.status} {answer.body[:200]!r}"
            except OSError as error:
                said = f"{who}: {error!r}"
            with self.lock:
                if said:
                    self.failures.append(said)
                else:
                    self.good[who] += 1

    def stop(self):
        self.over.set()
        for thread in self.threads:
            thread.join(30)


def test_reloads_under_load_lose_nothing(own_envoy, upstream):
    proxy = own_envoy(configuration(0), workers=2, ecds=True)
    clients = Clients(proxy, upstream)
    before = reloads(proxy)[0]
    warm = max(RELOADS // 4, 5)
    began = time.monotonic()
    for number in range(1, RELOADS + 1):
        proxy.configure(configuration(number))
        wait_until(lambda: reloads(proxy)[0] - before >= number, f"reload {number} was not taken", 30)
        if number == warm:
            at_first = resident(proxy)
    seconds = time.monotonic() - began
    clients.stop()
    at_last = resident(proxy)
    total = sum(clients.good.values())
    print(f"\n{RELOADS} reloads in {seconds:.0f} s, {total} requests, {len(clients.failures)} failed, resident {at_first} KiB after {warm}, {at_last} KiB at the end")
    assert not clients.failures, clients.failures[:3]
    assert reloads(proxy)[1] == 0
    assert clients.good["ann"] > RELOADS and clients.good["eve"] > RELOADS // 4
    records = proxy.audits(total, timeout=30)
    assert len(records) == total
    digests = {r["config_digest"] for r in records}
    assert len(digests) > RELOADS // 4
    assert all(r["policy"].startswith("barred-") and r["deny_reason"] == "policy.model" for r in records if r["subject"] == "eve")
    # The quota went through all of it: every call of Ann's is counted once.
    left = min(r["quota"][0]["remaining"] for r in records if r["subject"] == "ann")
    assert left == 10**7 - clients.good["ann"]
    # Flat: V8 frees in its own time, so less than 20 KiB a reload.
    assert at_last - at_first < max(20 * (RELOADS - warm), 6000), (at_first, at_last)


def test_a_bad_configuration_is_refused_and_the_old_one_stays(own_envoy, upstream):
    proxy = own_envoy(configuration(0), ecds=True)
    proxy.expects_refusals = True
    assert proxy.chat("hi", headers=[("x-agent-id", "ann")]).status == 200
    good = proxy.audits(1)[0]["config_digest"]
    bad = configuration(1)
    bad["policies"][0]["models"]["allow"] = ["gpt-[45]"]
    for number, (config, what) in enumerate(
        [
            (bad, "policies[0].models.allow[0]: only `*` and `?` are special in a glob"),
            ({**configuration(1), "polices": []}, "unknown field `polices`"),
            ({**configuration(1), "version": 2}, "version: only version 1 is known"),
            ('{"version": 1, "version": 1}', "configuration refused"),
            ("not json", "expected a JSON object"),
        ],
        1,
    ):
        proxy.configure(config)
        wait_until(lambda: reloads(proxy)[1] >= number, "the configuration was not refused", 20)
        wait_until(lambda: what in proxy.log(), f"no message like {what}")
        assert proxy.chat("hi", headers=[("x-agent-id", "ann")]).status == 200
        assert proxy.chat("hi", headers=[("x-agent-id", "eve")]).status == 403
    records = proxy.audits(11)
    assert {r["config_digest"] for r in records} == {good}
    proxy.configure(configuration(2))
    wait_until(lambda: proxy.chat("hi", headers=[("x-agent-id", "ann")]).status and proxy.audits(1)[-1]["config_digest"] != good, "a good one is taken again")
    # What was used before is still counted.
    assert proxy.audits(1)[-1]["quota"][0]["remaining"] < 10**7 - 6
