"""What the tests ask of every SDK of a model provider, and what they get."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from dataclasses import dataclass, field

from upstream import Script


@dataclass
class Turn:
    """One answer as the SDK gave it. `parts` are its own objects as plain
    values, one for a whole answer, one an event for a streamed one."""

    text: str = ""
    # Name and arguments of each tool call.
    calls: list[tuple[str, dict]] = field(default_factory=list)
    parts: list = field(default_factory=list)


@dataclass
class Failure:
    """What a caller can learn of an exception of the SDK's own."""

    kind: type
    status: int | None
    message: str
    retry_after: str | None


class Sdk(ABC):
    """One official SDK. The address is without a path; the headers go with
    every request; nothing is retried."""

    name: str
    # What the SDK raises, by status; 0 is an error in the middle of a stream.
    errors: dict[int, type]
    # The same by the status it would have had, where it tells them apart.
    mid_stream: dict[int, type] = {}
    # The exception carries the headers of the answer.
    tells_headers = True
    # The dialect that its requests are read by.
    dialect: str

    def __init__(self, url: str, headers: dict[str, str]) -> None:
        self.url = url
        self.headers = headers

    @abstractmethod
    def ask(self, text: str, tools: bool = False) -> Turn: ...

    @abstractmethod
    def stream(self, text: str, tools: bool = False) -> Turn: ...

    @abstractmethod
    def failure(self, error: Exception) -> Failure: ...

    @staticmethod
    def script(streamed: bool, tools: bool) -> Script | None:
        """Who answers in the place of aimock, where it cannot."""
        return None

    def say(self, text: str, streamed: bool, tools: bool = False) -> Turn:
        return self.stream(text, tools) if streamed else self.ask(text, tools)


def schema(properties: dict[str, str]) -> dict:
    """The JSON schema of an object of these fields and types."""
    return {"type": "object", "properties": {name: {"type": kind} for name, kind in properties.items()}}


# Name, what it is for, and arguments of the tools that tests offer.
TOOLS = {
    "weather": ("Tells the weather", schema({"city": "string", "days": "integer", "exact": "boolean"})),
    "send": ("Sends a letter", schema({"to": "string", "body": "string"})),
}

# What differs between two equal calls: ids, times, and headers.
VOLATILE = {"id", "created", "created_at", "response_id", "responseId", "date", "request_id", "item_id", "call_id",
            "sdk_http_response", "ResponseMetadata", "tool_call_id", "toolUseId", "create_time", "completed_at",
            "total_duration", "load_duration", "latencyMs", "obfuscation", "generation_id", "headers", "event_id", "continuation_ids"}


def steady(value):
    """A value without what differs between two equal calls."""
    if isinstance(value, dict):
        return {k: steady(v) for k, v in value.items() if k not in VOLATILE}
    if isinstance(value, list):
        return [steady(v) for v in value]
    return value


def plain(value):
    """An object of a pydantic SDK as plain values."""
    return json.loads(value.model_dump_json())
