"""A rate limit service: envoy.service.ratelimit.v3 over gRPC, counters in Redis.

Run as a program, so that it shares no interpreter with the load that a test
makes. Counts as envoyproxy/ratelimit does: a descriptor's own `hits_addend`
goes before the request's; 0 only asks, and is over the limit when the counter
is past it; what does not fit is counted all the same, or a budget that is
nearly used up would never be. Unlike there, a window begins with its first
hit, so that no test meets the turn of an hour.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import grpc
import redis
import redis.asyncio
import redis.asyncio.retry
import redis.backoff
import redis.retry
from google.protobuf import descriptor_pb2, descriptor_pool, duration_pb2, message_factory, wrappers_pb2

PACKAGE = "envoy.service.ratelimit.v3"
METHOD = "ShouldRateLimit"
OK, OVER_LIMIT = 1, 2
# Seconds of a window to what the protocol calls it.
UNITS = {1: 1, 60: 2, 3600: 3, 86400: 4}
# Envoy waits a second, see envoy/gateway/envoy.yaml.
REDIS_TIMEOUT = 0.6

# Redis runs a script as one step: no hit is lost between two services, and no
# counter is left without an end.
HIT = """
local hits = tonumber(ARGV[1])
if hits == 0 then
  return { tonumber(redis.call('GET', KEYS[1]) or 0), redis.call('PTTL', KEYS[1]) }
end
local count = redis.call('INCRBY', KEYS[1], ARGV[1])
if redis.call('PTTL', KEYS[1]) < 0 then redis.call('EXPIRE', KEYS[1], ARGV[2]) end
return { count, redis.call('PTTL', KEYS[1]) }
"""

# The part of the protocol that is used: name, number, type, repeated.
MESSAGES = {
    "Entry": [("key", 1, "string", False), ("value", 2, "string", False)],
    "Descriptor": [("entries", 1, "Entry", True), ("hits_addend", 3, "google.protobuf.UInt64Value", False)],
    "Request": [("domain", 1, "string", False), ("descriptors", 2, "Descriptor", True), ("hits_addend", 3, "uint32", False)],
    "Limit": [("requests_per_unit", 1, "uint32", False), ("unit", 2, "int32", False), ("name", 3, "string", False)],
    "Status": [
        ("code", 1, "int32", False),
        ("current_limit", 2, "Limit", False),
        ("limit_remaining", 3, "uint32", False),
        ("duration_until_reset", 4, "google.protobuf.Duration", False),
    ],
    "Response": [("overall_code", 1, "int32", False), ("statuses", 2, "Status", True)],
}


def messages() -> dict[str, type]:
    """Classes for the table. On the wire only numbers and types count, and an
    enumeration is an integer; Envoy's own files import some forty others."""
    field = descriptor_pb2.FieldDescriptorProto
    scalars = {"string": field.TYPE_STRING, "uint32": field.TYPE_UINT32, "int32": field.TYPE_INT32}
    file = descriptor_pb2.FileDescriptorProto(name="rls.proto", package=PACKAGE, syntax="proto3")
    file.dependency[:] = [wrappers_pb2.DESCRIPTOR.name, duration_pb2.DESCRIPTOR.name]
    for name, fields in MESSAGES.items():
        message = file.message_type.add(name=name)
        for title, number, kind, repeated in fields:
            label = field.LABEL_REPEATED if repeated else field.LABEL_OPTIONAL
            added = message.field.add(name=title, number=number, label=label, type=scalars.get(kind, field.TYPE_MESSAGE))
            if kind not in scalars:
                added.type_name = f".{kind}" if "." in kind else f".{PACKAGE}.{kind}"
    pool = descriptor_pool.Default()
    pool.Add(file)
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{PACKAGE}.{name}")) for name in MESSAGES}


def counter(domain: str, entries: list[tuple[str, str]]) -> str:
    """The name of a counter in Redis, without doubt about where a value ends."""
    return json.dumps([domain, *entries])


# --- the service ---


class Service:
    """`limits` by the value of a descriptor's first entry, or for all others
    `*`: how many, and in how many seconds."""

    def __init__(self, store: redis.asyncio.Redis, limits: dict[str, tuple[int, int]]) -> None:
        self.hit = store.register_script(HIT)
        self.limits = limits
        self.kinds = messages()

    async def answer(self, request, context):
        response = self.kinds["Response"](overall_code=OK)
        for descriptor in request.descriptors:
            entries = [(e.key, e.value) for e in descriptor.entries]
            status = response.statuses.add(code=OK)
            if not entries:
                continue
            limit, seconds = self.limits.get(entries[0][1], self.limits["*"])
            own = descriptor.HasField("hits_addend")
            hits = descriptor.hits_addend.value if own else max(1, request.hits_addend)
            try:
                count, left_ms = await self.hit(keys=[counter(request.domain, entries)], args=[hits, seconds])
            except (redis.RedisError, OSError) as fault:
                await context.abort(grpc.StatusCode.UNAVAILABLE, type(fault).__name__)
            if count > limit:
                status.code = response.overall_code = OVER_LIMIT
            status.current_limit.requests_per_unit = limit
            status.current_limit.unit = UNITS[seconds]
            status.limit_remaining = max(0, limit - count)
            status.duration_until_reset.seconds = max(left_ms // 1000, 0) if left_ms >= 0 else seconds
        return response


async def serve(socket: str, limits: dict[str, tuple[int, int]], port: int) -> None:
    # No second try: a hit whose answer was lost may have been counted.
    never = redis.asyncio.retry.Retry(redis.backoff.NoBackoff(), 0)
    limit = {"socket_timeout": REDIS_TIMEOUT, "socket_connect_timeout": REDIS_TIMEOUT, "retry": never}
    store = redis.asyncio.Redis(unix_socket_path=socket, **limit)
    service = Service(store, limits)
    handler = grpc.unary_unary_rpc_method_handler(
        service.answer,
        request_deserializer=service.kinds["Request"].FromString,
        response_serializer=lambda response: response.SerializeToString(),
    )
    server = grpc.aio.server()
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(f"{PACKAGE}.RateLimitService", {METHOD: handler})])
    port = server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    print(port, flush=True)
    # Ends with whoever started it, even if that was killed.
    await asyncio.to_thread(sys.stdin.read)
    await server.stop(None)


# --- the processes, for tests ---


class Redis:
    """Debian's redis-server, on a socket of its own. Every write is on disk
    before it is answered, so that a kill loses nothing that was counted."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="portcullis-redis-"))
        self.socket = str(self.folder / "redis.sock")
        self.process: subprocess.Popen | None = None
        self.start()

    def start(self) -> None:
        log = open(self.folder / "redis.log", "ab")
        self.process = subprocess.Popen(
            [
                *("redis-server", "--port", "0", "--unixsocket", self.socket, "--dir", str(self.folder)),
                *("--save", "", "--appendonly", "yes", "--appendfsync", "always"),
            ],
            stdout=log,
            stderr=log,
        )
        log.close()
        until = time.monotonic() + 20
        while True:
            try:
                self.client().ping()
                return
            except redis.RedisError:
                if self.process.poll() is not None or time.monotonic() > until:
                    raise RuntimeError((self.folder / "redis.log").read_text()[-2000:]) from None
                time.sleep(0.02)

    def client(self) -> redis.Redis:
        never = redis.retry.Retry(redis.backoff.NoBackoff(), 0)
        return redis.Redis(unix_socket_path=self.socket, retry=never)

    def kill(self) -> None:
        """As a crash: no time to put anything in order."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def spent(self, subject: str) -> int:
        return int(self.client().get(counter("portcullis", [("subject", subject)])) or 0)

    def settled(self, subject: str, count: int, timeout: float = 10.0) -> int:
        """What is spent, once it is at least `count`: nobody waits for debits."""
        until = time.monotonic() + timeout
        while (spent := self.spent(subject)) < count and time.monotonic() < until:
            time.sleep(0.02)
        return spent


class Server:
    """The service in a process of its own; started again, it has the same port."""

    def __init__(self, store: Redis, limits: dict[str, tuple[int, int]]) -> None:
        self.arguments = [sys.executable, __file__, store.socket, json.dumps(limits)]
        self.port = 0
        self.start()

    def start(self) -> None:
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self.process = subprocess.Popen([*self.arguments, "--port", str(self.port)], **pipes)
        line = self.process.stdout.readline().strip()
        if not line.isdigit() or int(line) == 0:
            raise RuntimeError("the rate limit service did not start")
        self.port = int(line)

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("socket", help="path of Redis's socket")
    parser.add_argument("limits", type=json.loads, help='{"SUBJECT": [tokens, seconds], "*": [...]}')
    parser.add_argument("--port", type=int, default=0, help="0: a free one, which is printed")
    args = parser.parse_args()
    asyncio.run(serve(args.socket, args.limits, args.port))


if __name__ == "__main__":
    main()
