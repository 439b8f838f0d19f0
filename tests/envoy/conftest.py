"""Fixtures of the suites that run a real Envoy."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import asdict

import pytest

from envoy import Envoy, Options
from upstream import Upstream

# Enough for a module's tests to share theirs; each holds about 120 MB.
MAX_ENVOYS = 6


def pytest_configure(config: pytest.Config) -> None:
    for name in ("ENVOY", "PORTCULLIS_WASM"):
        if not os.path.isfile(os.environ.get(name, "")):
            raise pytest.UsageError(f"{name} does not name a file: use ./build.sh test envoy")


@pytest.fixture(scope="session")
def upstreams() -> Iterator[tuple[Upstream, Upstream]]:
    pair = Upstream(), Upstream()
    yield pair
    for server in pair:
        server.stop()


@pytest.fixture
def upstream(upstreams: tuple[Upstream, Upstream]) -> Iterator[Upstream]:
    """The server behind cluster `primary`, with no script and no requests."""
    yield from fresh(upstreams[0])


@pytest.fixture
def secondary(upstreams: tuple[Upstream, Upstream]) -> Iterator[Upstream]:
    """The server behind cluster `secondary`."""
    yield from fresh(upstreams[1])


def fresh(server: Upstream) -> Iterator[Upstream]:
    server.reset()
    server.failure = None
    server.up()
    yield server
    server.up()
    assert server.failure is None, f"the scripted upstream failed: {server.failure!r}"


class Pool:
    """Proxies by configuration, so that tests with equal options share one."""

    def __init__(self, upstreams: tuple[Upstream, Upstream]) -> None:
        self.ports = [server.port for server in upstreams]
        self.running: dict[str, Envoy] = {}
        self.faults: list[str] = []

    def get(self, options: Options) -> Envoy:
        key = json.dumps(asdict(options), sort_keys=True)
        if key in self.running:
            # Most recently used last.
            self.running[key] = self.running.pop(key)
            self.running[key].mark()
            return self.running[key]
        while len(self.running) >= MAX_ENVOYS:
            self.stop(next(iter(self.running)))
        self.running[key] = Envoy(options, *self.ports)
        return self.running[key]

    def stop(self, key: str) -> None:
        proxy = self.running.pop(key)
        if found := proxy.faults():
            self.faults += [f"{options_name(proxy)}: {fault}" for fault in found]
            self.faults.append(proxy.log()[-2000:])
        proxy.kill()


def options_name(proxy: Envoy) -> str:
    return ", ".join(f"{k}={v!r}"[:80] for k, v in asdict(proxy.options).items() if k != "plugin")


@pytest.fixture(scope="session")
def pool(upstreams: tuple[Upstream, Upstream]) -> Iterator[Pool]:
    pool = Pool(upstreams)
    yield pool
    for key in list(pool.running):
        pool.stop(key)
    # An error of the whole run: whichever test caused it may have passed.
    assert not pool.faults, "\n".join(pool.faults)


@pytest.fixture
def envoy(pool: Pool, upstream: Upstream, secondary: Upstream) -> Iterator[Callable[..., Envoy]]:
    """A function of the plugin's configuration and of `Options`' other fields
    that gives a running proxy, shared with other tests of equal options.
    After the test every proxy it used must have its VMs."""
    used: list[Envoy] = []

    def start(plugin: dict | str | None, **options) -> Envoy:
        proxy = pool.get(Options(plugin, **options))
        used.append(proxy)
        return proxy

    yield start
    for proxy in dict.fromkeys(used):
        if found := proxy.faults():
            # Later tests get a new one; the run's last check still fails.
            pool.stop(next(key for key, running in pool.running.items() if running is proxy))
            pytest.fail("\n".join(found))


@pytest.fixture
def own_envoy(pool: Pool, upstream: Upstream, secondary: Upstream) -> Iterator[Callable[..., Envoy]]:
    """Like `envoy`, but never shared: for quotas, metrics and crashes."""
    used: list[Envoy] = []

    def start(plugin: dict | str | None, **options) -> Envoy:
        used.append(Envoy(Options(plugin, **options), *pool.ports))
        return used[-1]

    yield start
    found = [fault for proxy in used for fault in proxy.faults()]
    logs = [proxy.log()[-2000:] for proxy in used]
    for proxy in used:
        proxy.kill()
    assert not found, f"{found}\n{logs}"
