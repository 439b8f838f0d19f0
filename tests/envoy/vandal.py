"""A filter that damages the quota cells of the filter under test: the one
fault of the host that a test can bring about in a stock Envoy.

It is a wasm module of a few instructions, assembled here, that runs under the
same `vm_id` and so shares its data.
"""

from __future__ import annotations

from pathlib import Path

HTTP = "type.googleapis.com/envoy.extensions.filters.http."
# As in `src/limits.rs` and `src/quota/key.rs`.
SHARDS = 16_384
KEY = b"pcq1/0000"
GARBAGE = b"not a cell"

I32, NO_TYPE = 0x7F, 0x40
LOCAL_GET, LOCAL_SET, CONST = 0x20, 0x21, 0x41
CALL, DROP, END, LOOP, BR_IF = 0x10, 0x1A, 0x0B, 0x03, 0x0D
LT_U, GT_U, ADD, MUL, AND, SHR_U, STORE8 = 0x49, 0x4B, 0x6A, 0x6C, 0x71, 0x76, 0x3A


def leb(number: int) -> bytes:
    """A signed number, as short as it goes."""
    out = bytearray()
    while True:
        low, number = number & 0x7F, number >> 7
        if (number, low & 0x40) in ((0, 0), (-1, 0x40)):
            return bytes([*out, low])
        out.append(low | 0x80)


def unsigned(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def sized(data: bytes) -> bytes:
    return unsigned(len(data)) + data


def many(items: list[bytes]) -> bytes:
    return unsigned(len(items)) + b"".join(items)


def const(number: int) -> bytes:
    return bytes([CONST]) + leb(number)


def function(body: bytes, more_locals: int = 0) -> bytes:
    declared = many([unsigned(more_locals) + bytes([I32])] if more_locals else [])
    return sized(declared + body + bytes([END]))


def writes_every_cell() -> bytes:
    """`(length)`: each cell becomes that many bytes of garbage."""
    digits = b""
    for place in range(4):
        shifted = bytes([LOCAL_GET, 1]) + const(4 * (3 - place)) + bytes([SHR_U]) + const(15) + bytes([AND, LOCAL_SET, 2])
        # '0' + n, and 39 more for what is above 9.
        letter = bytes([LOCAL_GET, 2]) + const(9) + bytes([GT_U]) + const(39) + bytes([MUL])
        value = bytes([LOCAL_GET, 2]) + const(48) + bytes([ADD]) + letter + bytes([ADD])
        digits += shifted + const(5 + place) + value + bytes([STORE8, 0, 0])
    write = const(0) + const(len(KEY)) + const(len(KEY)) + bytes([LOCAL_GET, 0]) + const(0) + bytes([CALL, 0, DROP])
    step = bytes([LOCAL_GET, 1]) + const(1) + bytes([ADD, LOCAL_SET, 1])
    again = bytes([LOCAL_GET, 1]) + const(SHARDS) + bytes([LT_U, BR_IF, 0])
    return function(bytes([LOOP, NO_TYPE]) + digits + write + step + again + bytes([END]), more_locals=2)


def damages(length: int, answer: int) -> bytes:
    """A callback that does so, and answers."""
    return const(length) + bytes([CALL, 1]) + const(answer)


def module(midway: bool) -> bytes:
    """Damages the cells when it starts or, if `midway`, whenever an answer
    comes; then a request finds them empty, which is how they begin."""
    none, i32 = bytes([0]), bytes([I32])
    takes = lambda count, gives: bytes([0x60]) + many([i32] * count) + (many([i32]) if gives else none)  # noqa: E731
    types = [takes(5, True), takes(1, False), takes(0, False), takes(2, True), takes(3, True), takes(1, True)]
    name = lambda text: sized(text.encode())  # noqa: E731
    imports = [name("env") + name("proxy_set_shared_data") + bytes([0, 0])]
    if midway:
        callbacks = {
            "proxy_on_request_headers": (4, damages(0, 0)),
            "proxy_on_response_headers": (4, damages(len(GARBAGE), 0)),
        }
    else:
        callbacks = {"proxy_on_vm_start": (3, damages(len(GARBAGE), 1))}
    callbacks |= {
        "proxy_abi_version_0_2_1": (2, b""),
        "_initialize": (2, b""),
        # The host writes nothing that is read here.
        "proxy_on_memory_allocate": (5, const(4096)),
    }
    functions = [writes_every_cell(), *(function(body) for _, body in callbacks.values())]
    kinds = [1, *(kind for kind, _ in callbacks.values())]
    exports = [name("memory") + bytes([2, 0])]
    exports += [name(text) + bytes([0]) + unsigned(at + 2) for at, text in enumerate(callbacks)]
    data = bytes([0]) + const(0) + bytes([END]) + sized(KEY + GARBAGE)
    sections = {
        1: many(types),
        2: many(imports),
        3: many([unsigned(kind) for kind in kinds]),
        5: many([bytes([0, 2])]),
        7: many(exports),
        10: many(functions),
        11: many([data]),
    }
    return b"\0asm\1\0\0\0" + b"".join(bytes([at]) + sized(section) for at, section in sections.items())


def vandal(folder: Path, midway: bool) -> dict:
    """The filter, to stand before the one under test."""
    path = folder / f"vandal-{midway}.wasm"
    path.write_bytes(module(midway))
    code = {"local": {"filename": str(path)}}
    vm = {"vm_id": "portcullis", "runtime": "envoy.wasm.runtime.v8", "code": code}
    wasm = {"@type": HTTP + "wasm.v3.Wasm", "config": {"name": "vandal", "root_id": "vandal", "vm_config": vm}}
    return {"name": "vandal", "typed_config": wasm}
