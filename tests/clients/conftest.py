"""Fixtures of the suite that runs the official clients through a real Envoy."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "envoy")]

from envoy import Envoy, Options  # noqa: E402
from plugin import plugin  # noqa: E402
from upstream import Reply, Upstream  # noqa: E402

# The header that sends a request to the scripted server instead of aimock.
SCRIPTED = {"x-scripted": "1"}


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
    return plugin(
        policies=[
            everybody | {"name": "once", "match": {"groups": ["once"]}, "quotas": [once]},
            everybody | {"name": "no-tools", "match": {"groups": ["no-tools"]}, "tools": {"deny": ["*"]}},
            everybody,
        ]
    )


@dataclass
class Gate:
    """The proxy, and the addresses on both sides of it."""

    envoy: Envoy
    url: str
    aimock: str
    scripted: str


@pytest.fixture(scope="session")
def proxy(aimock: str, scripted_server: Upstream) -> Iterator[Gate]:
    match = {"prefix": "/", "headers": [{"name": "x-scripted", "present_match": True}]}
    options = Options(
        configuration(), raw_routes=[{"match": match, "route": {"cluster": "secondary", "timeout": "0s"}}]
    )
    running = Envoy(options, urlsplit(aimock).port, scripted_server.port)
    yield Gate(running, f"http://127.0.0.1:{running.port}", aimock, f"http://127.0.0.1:{scripted_server.port}")
    faults = running.faults()
    log = running.log()[-2000:]
    running.kill()
    assert not faults, f"{faults}\n{log}"


@pytest.fixture
def gate(proxy: Gate) -> Iterator[Gate]:
    """The shared proxy; its audit records are those of the test."""
    proxy.envoy.mark()
    yield proxy
    assert not (found := proxy.envoy.faults()), "\n".join(found)
