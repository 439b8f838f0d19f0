"""What is shipped in envoy/: every configuration loads in Envoy, the manifests
say what they must, and the demo tells its story and notices when it is false."""

import copy
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from client import Http1

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

from render import PLACE, TEMPLATE, render  # noqa: E402

# envoy/gateway and envoy/approvals hold configurations of Envoy's, which
# test_global.py and test_approvals.py run.
MANIFESTS = sorted(path for path in ROOT.glob("envoy/*/*.yaml") if path.parent.name not in ("gateway", "approvals"))
PORTS = ("ADMIN", "LISTENER", "PRIMARY", "SECONDARY", "QUARANTINE")
BODY_CAP = 10 * 1024 * 1024


def rendered(plugin: str = "{}") -> dict:
    values = {f"{port}_PORT": 0 for port in PORTS}
    return yaml.safe_load(render(plugin, MODULE=os.environ["PORTCULLIS_WASM"], ACCESS_LOG="/dev/null", JWT_KEY="YQ", **values))


def manifests() -> list[tuple[str, dict]]:
    found = [(str(path.relative_to(ROOT)), doc) for path in MANIFESTS for doc in yaml.safe_load_all(path.read_text())]
    assert len(found) >= 5
    return found


def inner(value, key: str) -> list:
    """All values under a key, however deep."""
    if isinstance(value, list):
        return [hit for item in value for hit in inner(item, key)]
    if isinstance(value, dict):
        own = [value[key]] if key in value else []
        return own + [hit for item in value.values() for hit in inner(item, key)]
    return []


def plugin_configs() -> dict[str, str]:
    """Every configuration of the filter that is shipped, by a name for messages."""
    found = {path.name: path.read_text() for path in sorted(ROOT.glob("envoy/config/*.json"))}
    for name, doc in manifests():
        for value in inner(doc, "configuration"):
            assert value["@type"].endswith("StringValue")
            found[name] = value["value"]
        if doc["kind"] == "EnvoyExtensionPolicy":
            found[name] = json.dumps(doc["spec"]["wasm"][0]["config"])
    return found


def validate(configs: dict[str, str], folder: Path) -> subprocess.CompletedProcess:
    """Let Envoy load them, as so many filters in one chain: one VM serves all."""
    whole = rendered()
    manager = whole["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
    filters = manager["http_filters"]
    at = next(i for i, f in enumerate(filters) if f["name"] == "portcullis")
    template = filters.pop(at)
    for name, config in configs.items():
        one = copy.deepcopy(template)
        one["name"] = one["typed_config"]["config"]["name"] = re.sub(r"[^a-z]", "-", name)
        one["typed_config"]["config"]["configuration"]["value"] = config
        filters.insert(at, one)
    file = folder / "envoy.json"
    file.write_text(json.dumps(whole))
    return subprocess.run([os.environ["ENVOY"], "--mode", "validate", "-c", str(file)], capture_output=True, text=True, timeout=110)


def test_every_configuration_loads_in_envoy(tmp_path):
    configs = plugin_configs()
    assert len(configs) >= 7
    run = validate(configs, tmp_path)
    assert run.returncode == 0, run.stderr[-3000:]
    # Loaded by the filter, not only taken by Envoy.
    for name, config in configs.items():
        digest = hashlib.sha256(config.encode()).hexdigest()[:16]
        assert f"configuration {digest} is in force" in run.stderr, name


def test_a_bad_configuration_is_refused_with_its_path(tmp_path):
    config = json.loads((ROOT / "envoy/config/minimal.json").read_text())
    config["policies"][0]["scan"]["request"]["pii"] = "blur"
    run = validate({"bad": json.dumps(config)}, tmp_path)
    assert run.returncode != 0 and "policies[0].scan.request.pii" in run.stderr


def test_the_template_has_no_place_without_a_value():
    with pytest.raises(ValueError, match="MODULE"):
        render("{}")
    assert "${" not in json.dumps(rendered())
    assert PLACE.search(TEMPLATE.read_text())


@pytest.mark.parametrize("name, doc", manifests(), ids=lambda value: value if isinstance(value, str) else value["kind"])
def test_manifests_say_what_they_must(name, doc):
    assert doc["apiVersion"] and doc["metadata"]["name"] and doc["spec"]
    for url in inner(doc, "uri") + inner(doc, "url"):
        assert re.search(r"@sha256:[0-9a-f]{64}$", url), f"{url} is not pinned"
    if doc["kind"] == "EnvoyFilter":
        patches = doc["spec"]["configPatches"]
        by_kind = {patch["applyTo"]: patch["patch"] for patch in patches}
        extension, inserted = by_kind["EXTENSION_CONFIG"], by_kind["HTTP_FILTER"]
        assert extension["operation"] == "ADD"
        assert extension["value"]["typed_config"]["config"]["allow_on_headers_stop_iteration"] is True
        assert extension["value"]["name"] == inserted["value"]["name"]
        assert inserted["value"]["config_discovery"]["type_urls"] == [
            "type.googleapis.com/" + extension["value"]["typed_config"]["@type"].removeprefix("type.googleapis.com/")
        ]
        assert by_kind["LISTENER"]["value"]["per_connection_buffer_limit_bytes"] > BODY_CAP


def test_the_patch_policy_finds_the_filter_that_the_extension_policy_makes():
    docs = {doc["kind"]: doc for name, doc in manifests() if "envoy-gateway" in name}
    made = docs["EnvoyExtensionPolicy"]["metadata"]
    (patch,) = docs["EnvoyPatchPolicy"]["spec"]["jsonPatches"]
    # As Envoy Gateway's translator names wasm filters.
    name = f"envoy.filters.http.wasm/envoyextensionpolicy/{made['namespace']}/{made['name']}/wasm/0"
    assert name in patch["operation"]["jsonPath"]
    assert patch["operation"]["path"].endswith("allow_on_headers_stop_iteration") and patch["operation"]["value"] is True


def test_the_reference_configuration_has_what_the_documents_promise():
    whole = rendered()
    listener = whole["static_resources"]["listeners"][0]
    assert listener["per_connection_buffer_limit_bytes"] > BODY_CAP
    readme = (ROOT / "envoy/README.md").read_text()
    for tag in whole["stats_config"]["stats_tags"]:
        assert tag["regex"] in readme, f"{tag['tag_name']} differs in envoy/README.md"


# --- the demo ---


def demo(*arguments: str) -> tuple[subprocess.CompletedProcess, set[str]]:
    before = set(Path("/tmp").glob("portcullis-demo-*"))
    run = subprocess.run([sys.executable, str(ROOT / "scripts/demo.py"), *arguments], capture_output=True, text=True, timeout=110)
    left = set(Path("/tmp").glob("portcullis-demo-*")) - before
    return run, {str(folder) for folder in left}


def test_the_demo_tells_its_story():
    run, left = demo()
    assert run.returncode == 0, run.stdout[-3000:] + run.stderr[-3000:]
    lines = run.stdout.splitlines()
    assert re.fullmatch(r"All \d+ steps went as told \(.*\)\. Nothing was left running\.", lines[-1])
    assert max(map(len, lines)) <= 100
    assert "\033" not in run.stdout and not left


def test_the_demo_notices_when_the_story_is_false():
    # Without identities, models and quotas much of it is.
    run, left = demo("--judge", "--config", str(ROOT / "envoy/config/minimal.json"))
    assert run.returncode == 1, run.stdout[-3000:]
    assert "steps did not go as told" in run.stdout and "Traceback" not in run.stderr
    assert "WRONG" in run.stdout and not left


def test_the_demo_tells_another_configuration_as_it_is():
    run, left = demo("--config", str(ROOT / "envoy/config/monitor.json"))
    assert run.returncode == 0, run.stdout[-3000:] + run.stderr[-3000:]
    assert "WRONG" not in run.stdout and "not judged" in run.stdout and not left
    # What the models saw, and what would have been done.
    assert 'saw "Refund 4111 1111 1111 1111' in run.stdout
    assert "block, only recorded" in run.stdout and "deny for policy.model, only recorded" in run.stdout


def test_the_demo_refuses_a_configuration_that_is_not_there():
    run, left = demo("--config", str(ROOT / "envoy/config/nonexistent.json"))
    assert run.returncode == 2 and "cannot be read" in run.stderr
    assert "Traceback" not in run.stderr and not left


def test_what_the_demo_keeps_speaks_chat_completions_only():
    run, _ = demo("--keep")
    assert run.returncode == 0, run.stdout[-3000:] + run.stderr[-3000:]
    folder = Path(re.search(r"cat (\S+)/ann\.token", run.stdout)[1])
    port = int(re.search(r"http://127\.0\.0\.1:(\d+)/v1/", run.stdout)[1])
    keeper = int(re.search(r"kill (\d+)$", run.stdout, re.MULTILINE)[1])
    try:
        tokens = {name: (folder / f"{name}.token").read_text() for name in ("ann", "tom", "eve")}
        assert len(set(tokens.values())) == 3

        def ask(path: str, model: str, **more):
            body = json.dumps({"model": model, "messages": [{"role": "user", "content": "Hi"}], **more}).encode()
            headers = [("content-type", "application/json"), ("authorization", "Bearer " + tokens["ann"])]
            with Http1(port) as connection:
                return connection.request("POST", path, body, headers=headers)

        # More than Envoy by default takes before it ejects a model.
        for _ in range(6):
            answer = ask("/v1/messages", "gpt-4o-mini", max_tokens=10)
            assert answer.status == 501 and "chat completions only" in answer.body.decode()
        for model in ("fast", "local-llama"):
            answer = ask("/v1/chat/completions", model)
            assert (answer.status, answer.text()) == (200, "The model read: Hi")
    finally:
        os.kill(keeper, signal.SIGTERM)
    until = time.monotonic() + 10
    while folder.exists() and time.monotonic() < until:
        time.sleep(0.05)
    assert not folder.exists()
