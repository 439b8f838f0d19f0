"""The OCI image: the same on every build, and Envoy runs what is in it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests/envoy")]

from envoy import Envoy, Options  # noqa: E402
from plugin import AGENT, plugin  # noqa: E402
from scripts import package  # noqa: E402
from upstream import Upstream  # noqa: E402

MODULE = Path(os.environ["PORTCULLIS_WASM"])


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    folder = tmp_path_factory.mktemp("image") / "oci"
    return folder, package.write_image(MODULE.read_bytes(), "0", folder)


def test_two_builds_have_one_digest(image, tmp_path):
    assert package.write_image(MODULE.read_bytes(), "0", tmp_path / "again") == image[1]


def test_skopeo_reads_the_layout(image):
    if shutil.which("skopeo") is None:
        pytest.skip("skopeo is not installed: apt-get install skopeo")
    command = ["skopeo", "inspect", "--format", "{{.Digest}}", f"oci:{image[0]}:{package.TAG}"]
    assert subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip() == image[1]


def test_envoy_runs_the_module_taken_back_out(image, tmp_path, monkeypatch):
    module = tmp_path / "plugin.wasm"
    module.write_bytes(package.read_module(image[0]))
    monkeypatch.setenv("PORTCULLIS_WASM", str(module))
    upstream = Upstream()
    proxy = Envoy(Options(plugin()), upstream.port, upstream.port)
    try:
        # Nobody in particular is refused, which only a running filter does.
        assert proxy.chat("hello").status == 401
        assert upstream.requests == []
        assert proxy.chat("hello", headers=[AGENT]).text() == "Hello."
        assert proxy.faults() == []
    finally:
        proxy.kill()
        upstream.stop()
