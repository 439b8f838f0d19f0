"""Who calls: every source behind the Envoy filter that vouches for it, with an
identity that may, one that may not, and one that pretends."""

import base64
import hashlib
import json
import re
import ssl
import subprocess
from http.client import HTTPSConnection
from pathlib import Path

import pytest
import yaml
from client import Http1, head
from envoy import HTTP, JWT_KEY, base64url, bearer
from plugin import plugin
from upstream import chat_reply

README = Path(__file__).resolve().parents[2] / "envoy/README.md"
JSON = ("content-type", "application/json")
BODY = json.dumps({"model": "m", "messages": [{"role": "user", "content": "hi"}]}).encode()


def identity(*sources, match, **more):
    return plugin(identity={"sources": list(sources)}, policy={"match": match}, **more)


def jwt_providers(*issuers) -> dict:
    """Several trusted issuers whose payloads land under one key."""
    keys = json.dumps({"keys": [{"kty": "oct", "alg": "HS256", "k": base64url(JWT_KEY).decode()}]})
    providers = {f"p{n}": {"issuer": iss, "payload_in_metadata": "payload", "local_jwks": {"inline_string": keys}} for n, iss in enumerate(issuers)}
    any_of = {"requires_any": {"requirements": [{"provider_name": name} for name in providers]}}
    config = {"@type": HTTP + "jwt_authn.v3.JwtAuthentication", "providers": providers, "rules": [{"match": {"prefix": "/"}, "requires": any_of}]}
    return {"name": "envoy.filters.http.jwt_authn", "typed_config": config}


def denied(record, code="policy.none"):
    return (record["decision"], record["deny_reason"], record["upstream_status"]) == ("deny", code, None)


def test_nested_claims_lists_and_names_with_dots(envoy, upstream):
    jwt = {"provider_key": "payload", "subject": "user.id", "groups": ["https://corp.test/claims", "roles"]}
    proxy = envoy(identity({"jwt": jwt}, match={"groups": ["finance"]}), jwt="required")

    def claims(roles):
        return bearer(user={"id": "bob"}, **{"https://corp.test/claims": {"roles": roles}})

    assert proxy.chat("hi", headers=[claims(["hr", "finance"])]).status == 200
    assert proxy.chat("hi", headers=[claims("finance")]).status == 200
    assert proxy.chat("hi", headers=[claims(["hr"])]).status == 403
    # A subject that is a list or a number is nobody's name.
    for odd in (["bob"], 7, {"x": "bob"}, "", True):
        assert proxy.chat("hi", headers=[bearer(user={"id": odd}, roles=["finance"])]).status == 401, odd
    records = proxy.audits(8)
    assert [r["subject"] for r in records] == ["bob"] * 3 + [""] * 5
    assert records[0]["groups"] == ["hr", "finance"] and denied(records[2])
    assert {r["deny_reason"] for r in records[3:]} == {"identity.missing"}


def test_a_subject_belongs_to_its_issuer(envoy, upstream):
    source = {"jwt": {"provider_key": "payload", "issuer": "iss"}}
    config = identity(source, match={"subjects": ["https://staff.test#*"]})
    proxy = envoy(config, front_filters=[jwt_providers("https://staff.test", "https://guests.test")])
    assert proxy.chat("hi", headers=[bearer(iss="https://staff.test", sub="root")]).status == 200
    assert upstream.last.header("x-portcullis-subject") == "https://staff.test#root"
    # The same name from another issuer that is trusted as well.
    assert proxy.chat("hi", headers=[bearer(iss="https://guests.test", sub="root")]).status == 403
    assert proxy.chat("hi", headers=[bearer(iss="https://elsewhere.test", sub="root")]).status == 401
    records = [line["audit"] for line in proxy.logged(3)]
    assert records[1]["subject"] == "https://guests.test#root" and denied(records[1])
    # What is refused in front of the filter has no record: it decided nothing.
    assert records[0]["decision"] == "allow" and not isinstance(records[2], dict)
    assert len(upstream.requests) == 1


def test_an_agent_that_acts_for_a_user(envoy, upstream):
    source = {"jwt": {"provider_key": "payload", "actors": ["act.sub", "act.act.sub", "azp"]}}
    config = identity(source, match={"subjects": ["ann"], "actors": ["agent-*"]})
    proxy = envoy(config, jwt="required")
    chain = {"sub": "agent-7", "act": {"sub": "scheduler"}}
    assert proxy.chat("hi", headers=[bearer(sub="ann", act=chain, azp="portal")]).status == 200
    assert (upstream.last.header("x-portcullis-subject"), upstream.last.header("x-portcullis-actor")) == ("ann", "agent-7")
    assert proxy.chat("hi", headers=[bearer(sub="ann", act={"sub": "worm-1"})]).status == 403
    assert proxy.chat("hi", headers=[bearer(sub="ann")]).status == 403
    assert proxy.chat("hi", headers=[bearer(sub="eve", act=chain)]).status == 403
    records = proxy.audits(4)
    assert records[0]["chain"] == ["agent-7", "scheduler", "portal"] and records[1]["chain"] == ["worm-1"]
    assert all(denied(r) for r in records[1:])


def run(*command, cwd):
    subprocess.run(command, cwd=cwd, check=True, capture_output=True, timeout=60)


@pytest.fixture(scope="module")
def pki(tmp_path_factory) -> Path:
    """An authority, a server, clients `agent` and `other`, and `forged`, signed
    by an authority of the same name that nobody trusts."""
    folder = tmp_path_factory.mktemp("pki")
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    for ca in ("ca", "evil"):
        run("openssl", "req", "-x509", *curve, "-keyout", f"{ca}.key", "-out", f"{ca}.pem", "-subj", "/CN=tests", "-days", "2", cwd=folder)
    names = {
        "server": ("ca", "DNS:localhost"),
        "agent": ("ca", "URI:spiffe://corp.test/ns/fin/sa/agent,DNS:agent.corp.test"),
        "other": ("ca", "URI:spiffe://corp.test/ns/hr/sa/other,DNS:other.corp.test"),
        "web": ("ca", "URI:https://corp.test/ns/fin/sa/agent"),
        "forged": ("evil", "URI:spiffe://corp.test/ns/fin/sa/agent,DNS:agent.corp.test"),
    }
    for name, (ca, san) in names.items():
        run("openssl", "req", *curve, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/O=corp/CN={name}", cwd=folder)
        (folder / f"{name}.ext").write_text(f"subjectAltName={san}\n")
        sign = ("-CA", f"{ca}.pem", "-CAkey", f"{ca}.key", "-CAcreateserial", "-days", "2", "-extfile", f"{name}.ext")
        run("openssl", "x509", "-req", "-in", f"{name}.csr", "-out", f"{name}.pem", *sign, cwd=folder)
    return folder


def over_tls(proxy, pki, name, headers=()):
    context = ssl.create_default_context(cafile=str(pki / "ca.pem"))
    if name:
        context.load_cert_chain(pki / f"{name}.pem", pki / f"{name}.key")
    connection = HTTPSConnection("localhost", proxy.port, context=context, timeout=20)
    try:
        connection.request("POST", "/v1/chat/completions", BODY, {"content-type": "application/json", **dict(headers)})
        return connection.getresponse().status
    except (ssl.SSLError, ConnectionError) as error:
        return type(error).__name__
    finally:
        connection.close()


def digest(pki, name):
    der = ssl.PEM_cert_to_DER_cert((pki / f"{name}.pem").read_text())
    return hashlib.sha256(der).hexdigest()


@pytest.mark.parametrize(
    "source, subject",
    [
        ({"spiffe": {}}, lambda pki: "spiffe://corp.test/ns/fin/sa/agent"),
        ({"certificate": {"from": "uri_san"}}, lambda pki: "spiffe://corp.test/ns/fin/sa/agent"),
        ({"certificate": {"from": "dns_san"}}, lambda pki: "agent.corp.test"),
        ({"certificate": {"from": "subject"}}, lambda pki: "CN=agent,O=corp"),
        ({"certificate": {"from": "sha256"}}, lambda pki: digest(pki, "agent")),
    ],
)
def test_client_certificates(envoy, upstream, pki, source, subject):
    who = subject(pki)
    paths = {"cert": str(pki / "server.pem"), "key": str(pki / "server.key"), "ca": str(pki / "ca.pem")}
    proxy = envoy(identity(source, match={"subjects": [who]}), tls=paths)
    assert over_tls(proxy, pki, "agent") == 200
    assert upstream.last.header("x-portcullis-subject") == who
    assert over_tls(proxy, pki, "other") == 403
    assert over_tls(proxy, pki, None, [("x-agent-id", who), ("x-forwarded-client-cert", f"URI={who}")]) == 401
    records = proxy.audits(3)
    assert records[0]["subject"] == who and denied(records[1]) and denied(records[2], "identity.missing")
    # The handshake ends it: there is no request and no record.
    assert isinstance(over_tls(proxy, pki, "forged"), str)
    assert len(upstream.requests) == 1
    if source == {"spiffe": {}}:
        assert over_tls(proxy, pki, "web") == 401


def test_api_keys_of_envoy(envoy, upstream):
    config = {
        "@type": HTTP + "api_key_auth.v3.ApiKeyAuth",
        "credentials": [{"key": "k-ann", "client": "ann"}, {"key": "k-bob", "client": "bob"}],
        "key_sources": [{"header": "x-api-key"}],
        "forwarding": {"header": "x-client-id", "hide_credentials": True},
    }
    source = {"header": {"name": "x-client-id", "trusted": True}}
    proxy = envoy(identity(source, match={"subjects": ["ann"]}), front_filters=[{"name": "envoy.filters.http.api_key_auth", "typed_config": config}])
    assert proxy.chat("hi", headers=[("x-api-key", "k-ann")]).status == 200
    assert upstream.last.header("x-api-key") is None
    # Bob says that he is Ann.
    assert proxy.chat("hi", headers=[("x-api-key", "k-bob"), ("x-client-id", "ann")]).status in (401, 403)
    assert proxy.chat("hi", headers=[("x-client-id", "ann")]).status == 401
    assert len(upstream.requests) == 1
    lines = proxy.logged(3)
    assert lines[0]["audit"]["subject"] == "ann"
    assert lines[1]["audit"]["decision"] == "deny" and lines[1]["audit"]["subject"] != "ann"


def test_basic_auth_of_envoy(envoy, upstream):
    def sha(password):
        return base64.b64encode(hashlib.sha1(password.encode()).digest()).decode()

    users = "\n".join(f"{name}:{{SHA}}{sha(name + '-pass')}" for name in ("ann", "bob"))
    config = {"@type": HTTP + "basic_auth.v3.BasicAuth", "users": {"inline_string": users}, "forward_username_header": "x-user"}
    source = {"header": {"name": "x-user", "trusted": True}}
    proxy = envoy(identity(source, match={"subjects": ["ann"]}), front_filters=[{"name": "envoy.filters.http.basic_auth", "typed_config": config}])

    def basic(text):
        return ("authorization", "Basic " + base64.b64encode(text.encode()).decode())

    assert proxy.chat("hi", headers=[basic("ann:ann-pass")]).status == 200
    assert proxy.chat("hi", headers=[basic("bob:bob-pass"), ("x-user", "ann")]).status in (401, 403)
    assert proxy.chat("hi", headers=[basic("ann:bob-pass")]).status == 401
    assert len(upstream.requests) == 1
    lines = proxy.logged(3)
    assert lines[0]["audit"]["subject"] == "ann"
    assert lines[1]["audit"]["decision"] == "deny" and lines[1]["audit"]["subject"] != "ann"


def test_headers_that_nobody_vouches_for_are_removed(envoy, upstream):
    sources = [{"jwt": {"provider_key": "payload"}}, {"header": {"name": "x-agent-id", "groups": "x-agent-groups", "trusted": True}}]
    proxy = envoy(identity(*sources, match={"subjects": ["ann"]}), jwt="optional")
    spoofed = [("X-Agent-Id", "root"), ("x-agent-groups", "admins"), ("x-portcullis-subject", "root"), ("X-Portcullis-Actor", "root")]
    assert proxy.chat("hi", headers=[bearer(sub="ann"), *spoofed]).status == 200
    sent = upstream.last
    assert sent.header("x-agent-id") is None and sent.header("x-agent-groups") is None
    assert sent.header_all("x-portcullis-subject") == ["ann"] and sent.header("x-portcullis-actor") is None
    assert proxy.chat("hi", headers=[("x-agent-id", "eve"), ("x-portcullis-subject", "ann")]).status == 403
    assert [r["subject"] for r in proxy.audits(2)] == ["ann", "eve"]


def test_credentials_in_the_query(envoy, upstream):
    upstream.reply = chat_reply()
    path = "/v1/chat/completions?api-version=1&%6bEy=AIza-secret"

    def ask(proxy):
        return proxy.request("POST", path, BODY, headers=[JSON, ("x-agent-id", "ann")])

    refusing = envoy(plugin())
    answer = ask(refusing)
    assert (answer.status, answer.json()["error"]["code"]) == (400, "request.query_credentials")
    assert "AIza" not in answer.body.decode() and denied(refusing.audit(), "request.query_credentials")
    assert not upstream.requests
    assert ask(envoy(plugin(traffic={"query_credentials": "strip"}))).status == 200
    assert upstream.last.path == "/v1/chat/completions?api-version=1"
    assert ask(envoy(plugin(traffic={"query_credentials": "allow"}))).status == 200
    assert upstream.last.path == path
    # An identity in the query is none.
    answer = refusing.request("POST", "/v1/chat/completions?x-agent-id=ann", BODY, headers=[JSON])
    assert answer.status == 401


def test_the_providers_key_is_envoys_to_add(envoy, upstream):
    """The example in envoy/README.md, as it stands there."""
    blocks = re.findall(r"```yaml\n(.*?)```", README.read_text(), re.S)
    (example,) = [yaml.safe_load(b) for b in blocks if "credential_injector" in b]
    assert example["http_filters"][0]["name"] == "portcullis"
    proxy = envoy(plugin(policy={"match": {"subjects": ["ann"]}}), extra_filters=example["http_filters"][1:], secrets=example["secrets"])
    own = ("authorization", "Bearer the-clients-own")
    assert proxy.chat("hi", headers=[("x-agent-id", "ann"), own]).status == 200
    assert upstream.last.header_all("authorization") == ["Bearer sk-of-the-provider"]
    assert proxy.chat("hi", headers=[("x-agent-id", "eve"), own]).status == 403
    assert [r["decision"] for r in proxy.audits(2)] == ["allow", "deny"]
    assert "sk-of-the-provider" not in json.dumps(proxy.audits(2))


def test_repeated_headers_identify_nobody(envoy, upstream):
    proxy = envoy(plugin(policy={"match": {"subjects": ["ann"]}}))
    for headers in ([("x-agent-id", "ann"), ("X-AGENT-ID", "ann")], [("x-agent-id", "ann"), ("x-agent-id", "eve")]):
        with Http1(proxy.port) as connection:
            connection.send(head("POST", "/v1/chat/completions", [("host", "a"), JSON, *headers, ("content-length", str(len(BODY)))]) + BODY)
            assert connection.read().status == 401
    assert proxy.chat("hi", headers=[("x-agent-id", "ann")]).status == 200
    records = proxy.audits(3)
    assert denied(records[0], "identity.missing") and denied(records[1], "identity.missing") and records[2]["subject"] == "ann"
