#!/usr/bin/env python3
"""A reference approval service: the filter asks on one port, humans decide on
another. The protocol is in README.md beside this file.

    python3 envoy/approvals/server.py --api 127.0.0.1:8090 --page 127.0.0.1:8091

The two ports are there so that agents, whose calls wait here, can be kept away
from the page. Needs nothing but Python's standard library."""

from __future__ import annotations

import argparse
import base64
import hmac
import json
import os
import re
import secrets
import signal
import sys
import threading
import time
from dataclasses import dataclass, field, replace
from http.cookies import CookieError, SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs

sys.path.insert(0, str(Path(__file__).resolve().parent))
import page  # noqa: E402

HERE = Path(__file__).resolve().parent
MAX_BODY = 1 << 20
MAX_FORM = 8 << 10
MAX_REASON = 200
# Beyond it the filter gets 503 and refuses: a flood must not bury a request,
# nor fill the memory.
MAX_ENTRIES = 1000
# One caller must not take the room of all. Beyond it he is told to wait, and
# nothing is kept: an error would let his calls pass where faults do.
MAX_WAITING = 100
# Over what the filter can count, and far below what Python cannot print.
MAX_USD = 1e11
MAX_BYTES = 1 << 32
# Writing may take as long as all else, so it must not follow every question.
SAVE_S = 1.0
ID = re.compile(r"[0-9a-f]{32}")
# A request nobody looked at is forgotten; asked again, it comes back.
PENDING_S = 24 * 3600
DECIDED_S = 3600
DECISIONS = {"once": "allow", "hour": "allow", "deny": "deny"}
LISTS = ("why", "groups", "chain")
WORDS = ("stage", "policy", "dialect", "operation", "model", "server", "host", "path")
# Equal whenever a call is tried again. Cost is not: prices change.
SAME = ("subject", "chain", "policy", "calls", "model", "server", "host", "path", "why", "stage")


@dataclass
class Entry:
    """One thing that is asked, however often."""

    question: dict
    asked: int
    first: float
    last: float
    decision: str = "pending"
    # Gone with the first call that gets it.
    once: bool = False
    reason: str = ""
    by: str = ""
    decided: float = 0.0
    # Calls that were let through.
    used: int = 0

    def ends(self) -> float:
        return self.last + PENDING_S if self.decision == "pending" else self.decided + DECIDED_S


class Full(Exception):
    """No room for another request."""


class Clash(Exception):
    """Another question has this id."""


class Wrong(Exception):
    """The request is not of this protocol."""


@dataclass
class Store:
    """All entries; in a file too, if there is one."""

    path: Path | None = None
    clock: object = time.time
    entries: dict[str, Entry] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)
    # Held while the file is written, so that older entries never replace newer.
    writing: threading.Lock = field(default_factory=threading.Lock)
    changed: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        if self.path and self.path.exists():
            self.entries = {key: Entry(**entry) for key, entry in json.loads(self.path.read_text()).items()}
        if self.path:
            threading.Thread(target=self._keep_saving, daemon=True).start()

    def ask(self, question: dict) -> tuple[str, str]:
        """Decision and reason."""
        with self.lock:
            now = self._forget()
            entry = self.entries.get(question["id"])
            if entry is None:
                if self._waiting(question["subject"]) >= MAX_WAITING:
                    return "pending", "too many requests of this caller wait already"
                if len(self.entries) >= MAX_ENTRIES:
                    raise Full
                entry = self.entries[question["id"]] = Entry(question, 0, now, now)
            # What was shown first is what is decided on, so nothing else may
            # have that decision.
            if any(entry.question.get(name) != question.get(name) for name in SAME):
                raise Clash
            entry.last = now
            entry.asked += 1
            decision, reason = entry.decision, entry.reason
            used_up = decision == "allow" and entry.once
            if decision == "allow":
                entry.used += 1
            if used_up:
                # It stays on the page as decided, under a name that no call has.
                self.entries[f"{question['id']} {now}"] = self.entries.pop(question["id"])
        if used_up:
            # Before the answer: after a crash it must not serve a second time.
            self.save()
        self.changed.set()
        return decision, reason or ("waiting for a human" if decision == "pending" else "")

    def decide(self, key: str, choice: str, reason: str, by: str) -> bool:
        """False: it is not there, or was decided."""
        with self.lock:
            now = self._forget()
            entry = self.entries.get(key)
            if entry is None or entry.decision != "pending":
                return False
            entry.decision, entry.once = DECISIONS[choice], choice == "once"
            entry.reason, entry.by, entry.decided = reason, by, now
        self.save()
        return True

    def all(self) -> list[tuple[str, Entry]]:
        with self.lock:
            self._forget()
            return self._copies()

    def _forget(self) -> float:
        now = self.clock()
        for key in [key for key, entry in self.entries.items() if entry.ends() < now]:
            del self.entries[key]
        return now

    def _waiting(self, subject: str) -> int:
        return sum(e.decision == "pending" and e.question["subject"] == subject for e in self.entries.values())

    def _copies(self) -> list[tuple[str, Entry]]:
        # Questions are never changed, so they need no copies.
        return [(key, replace(entry)) for key, entry in self.entries.items()]

    def save(self) -> None:
        """Write all to the file; what goes wrong is said, and tried again."""
        if not self.path:
            return
        with self.writing:
            self.changed.clear()
            with self.lock:
                entries = self._copies()
            part = self.path.with_name(self.path.name + ".part")
            try:
                with part.open("w") as file:
                    # One by one: other threads get their turn in between.
                    before = "{"
                    for key, entry in entries:
                        file.write(f"{before}{json.dumps(key)}: {json.dumps(vars(entry))}")
                        before = ","
                    file.write("}" if entries else "{}")
                os.replace(part, self.path)
            except OSError as e:
                self.changed.set()
                print(f"cannot write {self.path}: {e}", file=sys.stderr, flush=True)

    def _keep_saving(self) -> None:
        while self.changed.wait():
            self.save()
            time.sleep(SAVE_S)


def read_question(body: bytes, key: str | None) -> dict:
    """A question in the form of README.md, or Wrong. Only fields that are
    known: what is deep or huge elsewhere must not trouble page and file."""
    try:
        question = json.loads(body)
    except (ValueError, RecursionError) as e:
        raise Wrong("not JSON") from e
    if not isinstance(question, dict) or question.get("v") != 1:
        raise Wrong("v: only 1 is known")
    if not isinstance(question.get("id"), str) or not ID.fullmatch(question["id"]) or question["id"] != key:
        raise Wrong("id: 32 hex digits, the same as idempotency-key")
    if not isinstance(question.get("subject"), str):
        raise Wrong("subject: a string")
    for name in LISTS:
        if not all(isinstance(item, str) for item in listed(question, name)):
            raise Wrong(f"{name}: a list of strings")
    for name in WORDS:
        if not isinstance(question.get(name), (str, type(None))):
            raise Wrong(f"{name}: a string or null")
    if not amount(question.get("estimated_cost_usd", 0), (int, float), MAX_USD):
        raise Wrong("estimated_cost_usd: a number of dollars")
    known = ("id", "subject", "estimated_cost_usd", *LISTS, *WORDS)
    calls = [read_call(call) for call in listed(question, "calls")]
    return {name: question[name] for name in known if name in question} | {"calls": calls}


def read_call(call: object) -> dict:
    if not isinstance(call, dict) or not isinstance(call.get("name"), str):
        raise Wrong("calls: a list of objects with a name")
    if not amount(call.get("bytes", 0), int, MAX_BYTES):
        raise Wrong("calls[].bytes: a size")
    if not isinstance(call.get("arguments"), (str, type(None))):
        raise Wrong("calls[].arguments: a string or null")
    digest = call.get("args_hash") or {}
    if not isinstance(digest, dict) or not all(isinstance(value, str) for value in digest.values()):
        raise Wrong("calls[].args_hash: an object of strings, or null")
    return {name: call[name] for name in ("name", "args_hash", "bytes", "arguments") if name in call}


def amount(value: object, kind: type | tuple, most: float) -> bool:
    # Not-a-number compares as neither.
    return isinstance(value, kind) and not isinstance(value, bool) and 0 <= value < most


def listed(question: dict, name: str) -> list:
    value = question.get(name, [])
    if not isinstance(value, list):
        raise Wrong(f"{name}: a list")
    return value


class Handler(BaseHTTPRequestHandler):
    """What both ports have in common."""

    protocol_version = "HTTP/1.1"
    timeout = 30
    store: Store

    def answer(self, status: int, body: bytes, content_type: str, headers: tuple = ()) -> None:
        self.send_response(status)
        self.send_header("content-type", content_type)
        self.send_header("content-length", str(len(body)))
        self.send_header("cache-control", "no-store")
        self.send_header("x-content-type-options", "nosniff")
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def body(self, most: int) -> bytes | None:
        """None: refused, and the connection with it."""
        length = self.headers.get("content-length", "")
        if not length.isdecimal() or int(length) > most or self.headers.get("transfer-encoding"):
            self.close_connection = True
            self.answer(413, b"", "text/plain")
            return None
        return self.rfile.read(int(length))

    def log_message(self, *_) -> None:
        """Nothing: what is asked is nobody else's business."""


class Api(Handler):
    """The filter's side."""

    def do_POST(self) -> None:
        body = self.body(MAX_BODY)
        if body is None:
            return
        if self.path.split("?")[0] != "/v1/approvals":
            self.answer(404, b"", "text/plain")
            return
        try:
            question = read_question(body, self.headers.get("idempotency-key"))
            decision, reason = self.store.ask(question)
        except Wrong as e:
            self.answer(400, json.dumps({"error": str(e)}).encode(), "application/json")
        except Clash:
            self.answer(409, b'{"error":"another question has this id"}', "application/json")
        except Full:
            self.answer(503, b'{"error":"too many requests are waiting"}', "application/json")
        else:
            told = {"id": question["id"], "decision": decision}
            self.answer(200, json.dumps(told | ({"reason": reason} if reason else {})).encode(), "application/json")


class Page(Handler):
    """The humans' side."""

    # Of this run: forms from before a restart are refused.
    secret = secrets.token_bytes(32)
    users: dict[str, str] = {}
    hosts: set[str] = set()
    POLICY = (
        ("content-security-policy", "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "
         "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"),
        # With "no-referrer" browsers send `Origin: null` along with our own forms.
        ("referrer-policy", "same-origin"),
        ("x-frame-options", "DENY"),
    )

    def do_GET(self) -> None:
        if (who := self.admitted()) is None:
            return
        path = self.path.split("?")[0]
        if path == "/":
            session = self.session()
            cookie = ()
            if session is None:
                session = secrets.token_urlsafe(24)
                cookie = (("set-cookie", f"session={session}; Path=/; HttpOnly; SameSite=Strict"),)
            entries = self.store.all()
            html = page.render(entries, lambda key: self.token(session, key), who, time.time())
            self.answer(200, html.encode(), "text/html; charset=utf-8", (*self.POLICY, *cookie))
        elif path == "/state":
            self.answer(200, page.state(self.store.all()).encode(), "text/plain; charset=utf-8", self.POLICY)
        elif path in ("/style.css", "/page.js"):
            kind = "text/css" if path.endswith("css") else "text/javascript"
            self.answer(200, (HERE / path[1:]).read_bytes(), f"{kind}; charset=utf-8", self.POLICY)
        else:
            self.answer(404, b"", "text/plain")

    def do_POST(self) -> None:
        if (who := self.admitted()) is None or (body := self.body(MAX_FORM)) is None:
            return
        if self.path != "/decide":
            self.answer(404, b"", "text/plain")
            return
        form = {key: values[0] for key, values in parse_qs(body.decode("utf-8", "replace")).items()}
        key, session = form.get("id", ""), self.session()
        # The page of another site can send this form, but it can neither read
        # our token nor make the browser send our cookie along.
        origin = self.headers.get("origin")
        ours = origin is None or origin.split("://", 1)[-1] == self.headers.get("host")
        given = form.get("token", "").encode()
        if not ours or session is None or not hmac.compare_digest(given, self.token(session, key).encode()):
            self.answer(403, page.note("This form is out of date", "Go back, reload the page and try again.").encode(),
                        "text/html; charset=utf-8", self.POLICY)
        elif form.get("decision") not in DECISIONS:
            self.answer(400, b"", "text/plain")
        elif not self.store.decide(key, form["decision"], form.get("reason", "").strip()[:MAX_REASON], who):
            self.answer(409, page.note("Too late", "Somebody has decided already, or it was forgotten.").encode(),
                        "text/html; charset=utf-8", self.POLICY)
        else:
            self.answer(303, b"", "text/plain", (("location", "/"), *self.POLICY))

    def admitted(self) -> str | None:
        """Who looks at the page; None: nobody who may, and it was said."""
        # A name that somebody points here is another origin to the browser, in
        # which his script could read the page.
        if self.headers.get("host") not in self.hosts:
            self.close_connection = True
            self.answer(421, b"", "text/plain")
            return None
        if not self.users:
            return "anybody"
        kind, _, given = self.headers.get("authorization", "").partition(" ")
        try:
            name, _, word = base64.b64decode(given, validate=True).decode().partition(":")
        except ValueError:
            name, word = "", ""
        # Compared in any case, so that time does not tell who there is.
        known = hmac.compare_digest(self.users.get(name, "\0").encode(), word.encode())
        if kind.lower() == "basic" and known and name in self.users:
            return name
        self.close_connection = True
        self.answer(401, b"", "text/plain", (("www-authenticate", 'Basic realm="approvals", charset="UTF-8"'),))
        return None

    def session(self) -> str | None:
        try:
            found = SimpleCookie(self.headers.get("cookie", "")).get("session")
        except CookieError:
            return None
        return found.value if found else None

    def token(self, session: str, key: str) -> str:
        return hmac.digest(self.secret, f"{session}\n{key}".encode(), "sha256").hex()


def serve(at: str, handler: type[Handler], store: Store, **more) -> ThreadingHTTPServer:
    """Listen; requests are answered in a thread of their own."""
    host, _, port = at.rpartition(":")
    ThreadingHTTPServer.daemon_threads = True
    server = ThreadingHTTPServer((host, int(port)), type(handler.__name__, (handler,), {"store": store, **more}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def read_users(path: str) -> dict[str, str]:
    """Lines of `name:password`."""
    lines = [line.strip() for line in Path(path).read_text().splitlines()]
    return dict(line.split(":", 1) for line in lines if line and not line.startswith("#"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--api", default="127.0.0.1:8090", metavar="HOST:PORT", help="where the filter asks")
    parser.add_argument("--page", default="127.0.0.1:8091", metavar="HOST:PORT", help="where humans decide")
    parser.add_argument("--name", action="append", default=[], metavar="HOST[:PORT]", help="name in the browser's address bar, if it is another than that of --page")
    parser.add_argument("--users", metavar="FILE", help="lines of name:password; without it whoever reaches the page decides")
    parser.add_argument("--state", metavar="FILE", help="keep what was asked and decided over a restart")
    told = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    store = Store(Path(told.state) if told.state else None)
    users = read_users(told.users) if told.users else {}
    hosts = set(told.name)
    human = serve(told.page, Page, store, users=users, hosts=hosts)
    api = serve(told.api, Api, store)
    port = human.server_address[1]
    hosts |= {f"{told.page.rpartition(':')[0]}:{port}", f"127.0.0.1:{port}", f"localhost:{port}"}
    print(json.dumps({"api": api.server_address[1], "page": port}), flush=True)
    if not users:
        print("anybody who reaches the page decides: see --users", file=sys.stderr)
    try:
        threading.Event().wait()
    finally:
        store.save()


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass
