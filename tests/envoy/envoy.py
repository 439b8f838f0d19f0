"""The stock Envoy with the filter in it: its configuration, process and logs."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import shutil
import subprocess
import tempfile
import time
import urllib.request
from dataclasses import dataclass, field, replace
from pathlib import Path

from client import Response, http1, http2

ANY = "type.googleapis.com/"
HTTP = ANY + "envoy.extensions.filters.http."
LISTENER_BUFFER = 32 * 1024 * 1024
JWT_KEY = b"a key for tests, of no worth to anybody"

# One line a request. The record of the filter is JSON already and is nested
# as it is; `null` prints as "-" and is mended by `parse_log_line`.
LOG_LINE = (
    '{"audit":%FILTER_STATE(wasm.portcullis_audit:PLAIN)%,"status":%RESPONSE_CODE%,'
    '"details":"%RESPONSE_CODE_DETAILS%","flags":"%RESPONSE_FLAGS%","cluster":"%UPSTREAM_CLUSTER%","upstream":"%UPSTREAM_HOST%",'
    '"attempts":%UPSTREAM_REQUEST_ATTEMPT_COUNT%,"tokens":"%FILTER_STATE(wasm.portcullis_tokens:PLAIN)%",'
    '"request_id":"%REQ(X-REQUEST-ID)%","duration_ms":%DURATION%}\n'
)


@dataclass
class Options:
    """What a test may ask of its Envoy. `plugin` is the filter's configuration;
    None leaves the filter out. `routes` come before the default route; each is
    a pair of a model (`*` at the end matches a prefix) and a cluster."""

    plugin: dict | str | None
    workers: int = 1
    jwt: str | None = None  # "required" or "optional"
    decompressor: bool = False
    failover: bool = False
    routes: list[tuple[str, str]] = field(default_factory=list)
    buffer_limit: int = LISTENER_BUFFER
    failure_policy: str = "FAIL_CLOSED"
    response_trailers: bool = False
    raw_routes: list[dict] = field(default_factory=list)
    route_metadata: dict = field(default_factory=dict)
    extra_filters: list[dict] = field(default_factory=list)
    front_filters: list[dict] = field(default_factory=list)
    tls: dict = field(default_factory=dict)  # paths: cert, key, ca
    secrets: list[dict] = field(default_factory=list)
    ecds: bool = False  # the filter from a file, see `Envoy.configure`
    # Names and ports of further clusters, for `raw_routes`.
    clusters: dict[str, int] = field(default_factory=dict)
    # Envoy's whole configuration, in place of the one made from the above.
    # `ACCESS_LOG_PATH` in it is where the log has to go.
    whole: dict = field(default_factory=dict)


def token(claims: dict) -> str:
    """A signed JWT that the configuration with `jwt` accepts."""
    claims = {"iss": "tests", "exp": 4102444800, **claims}
    parts = [base64url(json.dumps(part).encode()) for part in ({"alg": "HS256", "typ": "JWT"}, claims)]
    signed = b".".join(parts)
    return (signed + b"." + base64url(hmac.digest(JWT_KEY, signed, hashlib.sha256))).decode()


def bearer(**claims) -> tuple[str, str]:
    return ("authorization", "Bearer " + token(claims))


def base64url(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")


# --- configuration ---


def cluster(name: str, port: int, trailers: bool = False) -> dict:
    protocol = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
    http1 = {"http_protocol_options": {"enable_trailers": trailers}}
    return {
        "typed_extension_protocol_options": {protocol: {"@type": ANY + protocol, "explicit_http_config": http1}},
        "name": name,
        "type": "STATIC",
        "connect_timeout": "1s",
        # A test asks for one ejected host, never for panic routing to it.
        "common_lb_config": {"healthy_panic_threshold": {"value": 0}},
        "outlier_detection": {
            "consecutive_5xx": 3,
            "interval": "1s",
            "base_ejection_time": "1s",
            "max_ejection_percent": 100,
        },
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address(port)}}]}],
        },
    }


def aggregate(name: str, members: list[str]) -> dict:
    kind = ANY + "envoy.extensions.clusters.aggregate.v3.ClusterConfig"
    return {
        "name": name,
        "connect_timeout": "1s",
        "lb_policy": "CLUSTER_PROVIDED",
        "cluster_type": {"name": "envoy.clusters.aggregate", "typed_config": {"@type": kind, "clusters": members}},
    }


def address(port: int) -> dict:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def route(target: str, options: Options, model: str | None = None) -> dict:
    match: dict = {"prefix": "/"}
    if model is not None:
        kind, value = ("prefix", model[:-1]) if model.endswith("*") else ("exact", model)
        match["headers"] = [{"name": "x-portcullis-model", "string_match": {kind: value}}]
    action: dict = {"cluster": target, "timeout": "0s"}
    if options.failover:
        priorities = ANY + "envoy.extensions.retry.priority.previous_priorities.v3.PreviousPrioritiesConfig"
        action["retry_policy"] = {
            "retry_on": "5xx,reset,connect-failure",
            "num_retries": 2,
            "retry_priority": {
                "name": "envoy.retry_priorities.previous_priorities",
                "typed_config": {"@type": priorities, "update_frequency": 1},
            },
        }
    out: dict = {"match": match, "route": action}
    if options.route_metadata:
        out["metadata"] = {"filter_metadata": {"portcullis": options.route_metadata}}
    return out


def wasm_filter(options: Options, module: str) -> dict:
    plugin = options.plugin if isinstance(options.plugin, str) else json.dumps(options.plugin)
    return {
        "name": "portcullis",
        "typed_config": {
            "@type": HTTP + "wasm.v3.Wasm",
            "config": {
                "name": "portcullis",
                "root_id": "portcullis",
                "failure_policy": options.failure_policy,
                "allow_on_headers_stop_iteration": True,
                "configuration": {"@type": ANY + "google.protobuf.StringValue", "value": plugin},
                "vm_config": {
                    "vm_id": "portcullis",
                    "runtime": "envoy.wasm.runtime.v8",
                    "code": {"local": {"filename": module}},
                },
            },
        },
    }


def jwt_filter(options: Options) -> dict:
    keys = {"keys": [{"kty": "oct", "alg": "HS256", "k": base64url(JWT_KEY).decode()}]}
    needs: dict = {"provider_name": "tests"}
    if options.jwt == "optional":
        needs = {"requires_any": {"requirements": [needs, {"allow_missing": {}}]}}
    return {
        "name": "envoy.filters.http.jwt_authn",
        "typed_config": {
            "@type": HTTP + "jwt_authn.v3.JwtAuthentication",
            "providers": {
                "tests": {
                    "issuer": "tests",
                    "payload_in_metadata": "payload",
                    "local_jwks": {"inline_string": json.dumps(keys)},
                }
            },
            "rules": [{"match": {"prefix": "/"}, "requires": needs}],
        },
    }


def decompressor_filter() -> dict:
    gzip = ANY + "envoy.extensions.compression.gzip.decompressor.v3.Gzip"
    return {
        "name": "envoy.filters.http.decompressor",
        "typed_config": {
            "@type": HTTP + "decompressor.v3.Decompressor",
            "decompressor_library": {"name": "gzip", "typed_config": {"@type": gzip, "window_bits": 15}},
            "request_direction_config": {
                "advertise_accept_encoding": False,
                "common_config": {"enabled": {"default_value": True, "runtime_key": "decompress_request"}},
            },
            # On the response side it would hang a filter that buffers
            # (envoyproxy/envoy issue 29879).
            "response_direction_config": {
                "common_config": {"enabled": {"default_value": False, "runtime_key": "decompress_response"}}
            },
        },
    }


def http_filters(options: Options, module: str) -> list[dict]:
    found = []
    if options.decompressor:
        found.append(decompressor_filter())
    if options.jwt:
        found.append(jwt_filter(options))
    found += options.front_filters
    if options.plugin is not None and options.ecds:
        # Written before Envoy starts, replaced by renaming.
        source = {"path_config_source": {"path": "ECDS_PATH"}, "resource_api_version": "V3"}
        kinds = [HTTP + "wasm.v3.Wasm"]
        found.append({"name": "portcullis", "config_discovery": {"config_source": source, "type_urls": kinds}})
    elif options.plugin is not None:
        found.append(wasm_filter(options, module))
    found += options.extra_filters
    found.append({"name": "envoy.filters.http.router", "typed_config": {"@type": HTTP + "router.v3.Router"}})
    return found


def downstream_tls(paths: dict) -> dict:
    context = {
        "@type": ANY + "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
        "require_client_certificate": False,
        "common_tls_context": {
            "tls_certificates": [{"certificate_chain": {"filename": paths["cert"]}, "private_key": {"filename": paths["key"]}}],
            "validation_context": {"trusted_ca": {"filename": paths["ca"]}},
        },
    }
    return {"name": "envoy.transport_sockets.tls", "typed_config": context}


def ecds_resource(options: Options, module: str, version: int) -> dict:
    """What the file holds that `Options.ecds` reads."""
    found = wasm_filter(options, module)
    resource = {"@type": ANY + "envoy.config.core.v3.TypedExtensionConfig", **found}
    return {"version_info": str(version), "resources": [resource]}


def bootstrap(options: Options, module: str, log: str, primary: int, secondary: int) -> dict:
    """Envoy's whole configuration. Ports are 0: the kernel picks free ones."""
    if options.whole:
        return options.whole
    default = "failover" if options.failover else "primary"
    routes = [*options.raw_routes, *(route(to, options, model) for model, to in options.routes)]
    routes.append(route(default, options))
    manager = {
        "@type": ANY + "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "ingress",
        "codec_type": "AUTO",
        "stream_idle_timeout": "30s",
        "http_protocol_options": {"enable_trailers": options.response_trailers},
        "access_log": [
            {
                "name": "envoy.access_loggers.file",
                "typed_config": {
                    "@type": ANY + "envoy.extensions.access_loggers.file.v3.FileAccessLog",
                    "path": log,
                    "log_format": {"text_format_source": {"inline_string": LOG_LINE}},
                },
            }
        ],
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}]},
        "http_filters": http_filters(options, module),
    }
    chain: dict = {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
    if options.tls:
        chain["transport_socket"] = downstream_tls(options.tls)
    return {
        "node": {"id": "test", "cluster": "test"},
        "admin": {"address": address(0)},
        "static_resources": {
            "secrets": options.secrets,
            "listeners": [
                {
                    "name": "ingress",
                    "address": address(0),
                    "per_connection_buffer_limit_bytes": options.buffer_limit,
                    "filter_chains": [chain],
                }
            ],
            "clusters": [
                cluster("primary", primary, options.response_trailers),
                cluster("secondary", secondary, options.response_trailers),
                aggregate("failover", ["primary", "secondary"]),
                *(cluster(name, port) for name, port in options.clusters.items()),
            ],
        },
    }


def parse_log_line(line: str) -> dict:
    for name in ("audit", "attempts"):
        line = line.replace(f'"{name}":-,', f'"{name}":null,')
    return json.loads(line)


# --- the process ---


class Envoy:
    """A running proxy. `audit()` and `logged()` see the requests since
    `mark()`, which every test's first use of the proxy calls."""

    def __init__(self, options: Options, primary: int, secondary: int, ready_within: float = 30.0) -> None:
        self.options = options
        self.folder = Path(tempfile.mkdtemp(prefix="portcullis-envoy-"))
        self.access_log = self.folder / "access.log"
        self.log_path = self.folder / "envoy.log"
        self._seen = 0
        # Tests that send a bad configuration set this.
        self.expects_refusals = False
        module = os.environ.get("PORTCULLIS_WASM", "")
        if options.plugin is not None and not Path(module).is_file():
            raise RuntimeError("PORTCULLIS_WASM does not name the module: run ./build.sh test envoy")
        config = bootstrap(options, module, str(self.access_log), primary, secondary)
        self._version = 0
        self._module = module
        if options.ecds:
            self.configure(options.plugin)
        text = json.dumps(config, indent=1).replace("ECDS_PATH", str(self.folder / "ecds.json"))
        text = text.replace("ACCESS_LOG_PATH", str(self.access_log))
        (self.folder / "envoy.json").write_text(text)
        self.process = subprocess.Popen(
            [
                os.environ["ENVOY"],
                *("-c", str(self.folder / "envoy.json"), "--concurrency", str(options.workers)),
                *("--admin-address-path", str(self.folder / "admin"), "--log-path", str(self.log_path)),
                *("--disable-hot-restart", "--file-flush-interval-msec", "20", "-l", "info"),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            self._wait_ready(ready_within)
        except BaseException:
            self.kill()
            raise

    def _wait_ready(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if self.process.poll() is not None:
                raise RuntimeError(f"Envoy refused to start:\n{self.log()[-3000:]}")
            try:
                self.admin_at = (self.folder / "admin").read_text().strip()
                if self.admin("/ready").strip() == "LIVE":
                    listeners = json.loads(self.admin("/listeners?format=json"))
                    local = listeners["listener_statuses"][0]["local_address"]["socket_address"]
                    self.port = local["port_value"]
                    return
            except (OSError, ValueError, KeyError):
                pass
            time.sleep(0.02)
        raise RuntimeError(f"Envoy was not ready within {seconds} s:\n{self.log()[-3000:]}")

    def configure(self, plugin: dict | str) -> None:
        """Replace the filter's configuration; Envoy watches for the rename."""
        self._version += 1
        found = ecds_resource(replace(self.options, plugin=plugin), self._module, self._version)
        new = self.folder / "ecds.new"
        new.write_text(json.dumps(found))
        new.rename(self.folder / "ecds.json")

    def kill(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if not os.environ.get("KEEP_ENVOY_FOLDERS"):
            shutil.rmtree(self.folder, ignore_errors=True)

    # --- traffic ---

    def request(self, method: str, path: str, body: bytes | None = None, **more) -> Response:
        return http1(self.port, method, path, body, **more)

    def http2(self, method: str, path: str, **more) -> Response:
        return http2(self.port, method, path, **more)

    def chat(self, prompt: str | list, model: str = "gpt-4o-mini", headers=(), **fields) -> Response:
        """Ask for a chat completion; `prompt` is a text or all the messages."""
        messages = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
        body = json.dumps({"model": model, "messages": messages, **fields}).encode()
        headers = [("content-type", "application/json"), *headers]
        return self.request("POST", "/v1/chat/completions", body, headers=headers)

    # --- what the proxy says ---

    def admin(self, path: str, method: str = "GET") -> str:
        request = urllib.request.Request(f"http://{self.admin_at}{path}", method=method)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.read().decode()

    def stats(self, pattern: str = "") -> dict[str, int]:
        """Counters and gauges whose names match the regular expression."""
        text = self.admin(f"/stats?format=json&filter={pattern}")
        return {s["name"]: s["value"] for s in json.loads(text)["stats"] if "name" in s}

    def log(self) -> str:
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def mark(self) -> None:
        """Forget the requests so far; waits until their lines are written."""
        time.sleep(0.05)
        self._seen = len(self._lines())

    def _lines(self) -> list[str]:
        if not self.access_log.exists():
            return []
        # A line is whole only with its line feed.
        return self.access_log.read_text(errors="replace").split("\n")[:-1]

    def logged(self, count: int = 1, timeout: float = 5.0) -> list[dict]:
        """Access-log lines since `mark()`, once there are `count` of them."""
        until = time.monotonic() + timeout
        while True:
            lines = self._lines()[self._seen :]
            if len(lines) >= count:
                return [parse_log_line(line) for line in lines]
            if time.monotonic() > until:
                raise AssertionError(f"{len(lines)} access-log lines after {timeout} s, waited for {count}")
            time.sleep(0.01)

    def audits(self, count: int = 1, timeout: float = 5.0) -> list[dict]:
        """Audit records since `mark()`. Every request must have one."""
        records = [line["audit"] for line in self.logged(count, timeout)]
        assert all(isinstance(r, dict) for r in records), "a request has no audit record"
        return records

    def audit(self, timeout: float = 5.0) -> dict:
        """The one audit record since `mark()`."""
        records = self.audits(1, timeout)
        assert len(records) == 1, f"{len(records)} records, expected one"
        return records[0]

    def faults(self) -> list[str]:
        """Signs that the VM crashed, was restarted, or that Envoy is gone."""
        if self.process.poll() is not None:
            return [f"Envoy ended with {self.process.returncode}"]
        found = []
        restarts = {n: v for n, v in self.stats("vm_reload").items() if v}
        if restarts:
            found.append(f"the VM was restarted: {restarts}")
        if any("wasm_fail_stream" in line for line in self._lines()):
            found.append("requests ended in wasm_fail_stream")
        if self.options.plugin is not None:
            # One per worker and the base VM of the main thread.
            alive = self.stats("wasm.*v8.active").get("wasm.envoy.wasm.runtime.v8.active", 0)
            if alive < self.options.workers + 1:
                found.append(f"{alive} VMs are alive, expected {self.options.workers + 1}")
        crash = ("[critical]", " failed: Uncaught ")
        lines = [x for x in self.log().splitlines() if "[wasm]" in x and any(mark in x for mark in crash)]
        # Envoy is as loud about a configuration that the filter refuses.
        found += [x for x in lines if not (self.expects_refusals and x.endswith("failed to load"))]
        return found
