"""Fixtures of the suite that runs the official clients through a real Envoy."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "envoy")]

from agents import Server, agent_card, agent_server, tool_server  # noqa: E402
from envoy import Envoy, Options  # noqa: E402
from plugin import plugin  # noqa: E402
from upstream import Reply, Upstream  # noqa: E402
from vandal import vandal  # noqa: E402


def sent_to(name: str) -> dict[str, str]:
    """The header that sends a request to another server than aimock."""
    return {"x-to": name}


SCRIPTED = sent_to("scripted")


def pytest_configure(config: pytest.Config) -> None:
    for name in ("ENVOY", "PORTCULLIS_WASM"):
        if not os.path.isfile(os.environ.get(name, "")):
            raise pytest.UsageError(f"{name} does not name a file: use ./build.sh test clients")
    if not os.path.isdir(os.environ.get("AIMOCK", "")):
        raise pytest.UsageError("AIMOCK does not name the folder of aimock: use ./build.sh test clients")
    # SDKs look for a proxy, for keys and for settings in the environment.
    for name in list(os.environ):
        if name.lower().endswith("_proxy") or name.startswith(("OPENAI_", "ANTHROPIC_", "GOOGLE_", "GEMINI_", "AWS_", "OLLAMA_")):
            del os.environ[name]
    os.environ["AWS_EC2_METADATA_DISABLED"] = "true"


@pytest.fixture(scope="session")
def aimock() -> Iterator[str]:
    """The address of the model server."""
    process = subprocess.Popen(
        ["node", str(HERE / "models.mjs"), os.environ["AIMOCK"]],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    url = process.stdout.readline().strip()
    assert url.startswith("http://"), f"aimock did not start: {url!r}, status {process.poll()}"
    yield url
    process.stdin.close()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@pytest.fixture(scope="session")
def scripted_server() -> Iterator[Upstream]:
    server = Upstream()
    yield server
    server.stop()


@pytest.fixture
def scripted(scripted_server: Upstream) -> Iterator[Upstream]:
    """The server behind `SCRIPTED`, with no script and no requests."""
    scripted_server.reset()
    scripted_server.failure = None
    scripted_server.reply = Reply.json({"error": {"message": "no script"}}, status=500)
    yield scripted_server
    assert scripted_server.failure is None, f"the scripted server failed: {scripted_server.failure!r}"


def configuration() -> dict:
    """Policies by group, so that every test shares one Envoy."""
    everybody = plugin()["policies"][0]
    once = {"name": "once", "per": "subject", "unit": "requests", "limit": 1, "window": "1h"}
    # Room for a question and a short answer, not for more.
    sip = {"name": "sip", "per": "subject", "unit": "tokens", "limit": 1100, "window": "1h"}
    tokens = everybody["scan"]["request"] | {"pii": "tokenize"}
    return plugin(
        audit={"key": "a key for tests, of no worth to anybody"},
        traffic={"max_request_bytes": 65_536},
        policies=[
            everybody | {"name": "tokens", "match": {"groups": ["tokens"]}, "scan": everybody["scan"] | {"request": tokens}},
            everybody | {"name": "once", "match": {"groups": ["once"]}, "quotas": [once]},
            everybody | {"name": "sip", "match": {"groups": ["sip"]}, "quotas": [sip], "limits": {"max_output_tokens": 8}},
            everybody | {"name": "open-models", "match": {"groups": ["open-models"]}, "models": {"allow": ["open-*"]}},
            everybody,
        ]
    )


def route_to(name: str) -> dict:
    match = {"prefix": "/", "headers": [{"name": "x-to", "string_match": {"exact": name}}]}
    return {"match": match, "route": {"cluster": name, "timeout": "0s"}}


@dataclass
class Gate:
    """The proxy, and the addresses on both sides of it; `servers` are those
    that `sent_to` names."""

    envoy: Envoy
    url: str
    aimock: str
    servers: dict[str, str]
    # What the tools and the agent were told.
    heard: list[str]

    def seen_by_the_model(self, scripted: Upstream) -> str:
        """The last request as it came to `scripted`, or else to aimock."""
        if scripted.requests:
            return scripted.last.body.decode()
        with urllib.request.urlopen(self.aimock + "/__aimock/journal") as answer:
            return json.dumps(json.load(answer)[-1]["body"], ensure_ascii=False)


@pytest.fixture(scope="session")
def proxy(aimock: str, scripted_server: Upstream) -> Iterator[Gate]:
    heard: list[str] = []
    agents = {
        "tools-streams": Server(tool_server(heard, json_response=False)),
        "tools-json": Server(tool_server(heard, json_response=True)),
        "agent": Server(agent_server(heard, agent_card("http://unused"))),
    }
    ports = {name: server.port for name, server in agents.items()} | {"scripted": scripted_server.port}
    options = Options(configuration(), clusters=ports, raw_routes=[route_to(name) for name in ports])
    running = Envoy(options, urlsplit(aimock).port, scripted_server.port)
    servers = {name: f"http://127.0.0.1:{port}" for name, port in ports.items()}
    yield Gate(running, f"http://127.0.0.1:{running.port}", aimock, servers, heard)
    for server in agents.values():
        server.stop()
    faults = running.faults()
    log = running.log()[-2000:]
    running.kill()
    assert not faults, f"{faults}\n{log}"


def damaged_gate(proxy: Gate, folder: Path, midway: bool) -> Iterator[Gate]:
    """Another proxy, whose quota cells are damaged."""
    ports = {name: urlsplit(url).port for name, url in proxy.servers.items()}
    options = Options(
        configuration(),
        clusters=ports,
        raw_routes=[route_to(name) for name in ports],
        front_filters=[vandal(folder, midway)],
    )
    running = Envoy(options, urlsplit(proxy.aimock).port, ports["scripted"])
    yield Gate(running, f"http://127.0.0.1:{running.port}", proxy.aimock, proxy.servers, [])
    faults = running.faults()
    running.kill()
    assert not faults, faults


@pytest.fixture(scope="session")
def damaged(proxy: Gate, tmp_path_factory) -> Iterator[Gate]:
    yield from damaged_gate(proxy, tmp_path_factory.mktemp("vandal"), midway=False)


@pytest.fixture(scope="session")
def damaged_midway(proxy: Gate, tmp_path_factory) -> Iterator[Gate]:
    """In order when a request comes, damaged when its answer does."""
    yield from damaged_gate(proxy, tmp_path_factory.mktemp("vandal"), midway=True)


@pytest.fixture
def gate(proxy: Gate) -> Gate:
    """The shared proxy."""
    proxy.heard.clear()
    return proxy


@pytest.fixture
def records(gate: Gate) -> Envoy:
    """The proxy, of whose audit records the test gets its own."""
    gate.envoy.mark()
    return gate.envoy
