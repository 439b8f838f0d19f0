#!/usr/bin/env python3
"""Refuse a module that Envoy would load and then not call: check_module.py FILE.

Reads the export and import sections (WebAssembly core 1.0, 5.5) and checks
three things: every callback the filter relies on is exported as a function,
nothing is imported that the proxy does not offer, and the size is in bounds.
"""

import sys
from pathlib import Path

# The classifier's weights are data that V8 does not compile: not counted.
WEIGHTS = Path(__file__).resolve().parent.parent / "rules" / "models" / "injection.bin"
MAX_BYTES = 1_572_864 + WEIGHTS.stat().st_size
# A callback that is missing is skipped by Envoy without a word, and traffic
# passes uninspected.
REQUIRED = {
    "proxy_abi_version_0_2_1",
    "proxy_on_configure",
    "proxy_on_request_headers",
    "proxy_on_request_body",
    "proxy_on_request_trailers",
    "proxy_on_response_headers",
    "proxy_on_response_body",
    "proxy_on_response_trailers",
    "proxy_on_log",
    "proxy_on_http_call_response",
}
HOST_MODULES = {"env", "wasi_snapshot_preview1"}
FUNCTION = 0


class Malformed(Exception):
    """The file is not a WebAssembly module, or is cut short."""


class Reader:
    """A cursor over a module's bytes."""

    def __init__(self, data: bytes):
        self.data, self.at = data, 0

    def take(self, count: int) -> bytes:
        if self.at + count > len(self.data):
            raise Malformed("cut short")
        self.at += count
        return self.data[self.at - count : self.at]

    def number(self) -> int:
        """An unsigned LEB128 number of at most 32 bits."""
        value = 0
        for shift in range(0, 35, 7):
            byte = self.take(1)[0]
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
        raise Malformed("a number is too long")

    def name(self) -> str:
        return self.take(self.number()).decode("utf-8")

    def limits(self) -> None:
        flags = self.number()
        self.number()
        if flags & 1:
            self.number()


def sections(data: bytes):
    reader = Reader(data)
    if reader.take(8) != b"\0asm\1\0\0\0":
        raise Malformed("not a WebAssembly module of version 1")
    while reader.at < len(data):
        kind = reader.take(1)[0]
        yield kind, Reader(reader.take(reader.number()))


def read_exports(reader: Reader) -> set[str]:
    names = set()
    for _ in range(reader.number()):
        name, kind = reader.name(), reader.take(1)[0]
        reader.number()
        if kind == FUNCTION:
            names.add(name)
    return names


def read_imports(reader: Reader) -> set[tuple[str, str]]:
    names = set()
    for _ in range(reader.number()):
        module, name, kind = reader.name(), reader.name(), reader.take(1)[0]
        names.add((module, name))
        if kind == FUNCTION:
            reader.number()
        elif kind == 1:
            reader.take(1)
            reader.limits()
        elif kind == 2:
            reader.limits()
        else:
            reader.take(2)
    return names


def faults(data: bytes) -> list[str]:
    exports, imports = set(), set()
    for kind, body in sections(data):
        if kind == 2:
            imports = read_imports(body)
        elif kind == 7:
            exports = read_exports(body)
    found = [f"does not export {name}" for name in sorted(REQUIRED - exports)]
    found += [f"imports {m}.{n}, which no proxy offers" for m, n in sorted(imports) if m not in HOST_MODULES]
    if len(data) > MAX_BYTES:
        found.append(f"is {len(data):,} bytes; the limit is {MAX_BYTES:,}")
    return found


def main() -> int:
    path = Path(sys.argv[1])
    data = path.read_bytes()
    try:
        found = faults(data)
    except (Malformed, UnicodeDecodeError) as error:
        found = [f"is malformed: {error}"]
    for fault in found:
        print(f"{path.name} {fault}", file=sys.stderr)
    if not found:
        print(f"{path.name}: {len(data):,} bytes; the limit is {MAX_BYTES:,}, {WEIGHTS.stat().st_size:,} of them for the classifier; {len(REQUIRED)} callbacks exported")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
