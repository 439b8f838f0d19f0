"""The SDK of Cohere: chat, version 2."""

from __future__ import annotations

import json

import cohere
import httpx
from cohere.core import ApiError, RequestOptions
from sdk import TOOLS, Failure, Sdk, Turn, plain

MODEL = "command-a-03-2025"


class MidStream(Exception):
    """The SDK raises nothing for an error inside a stream: it hands out the
    last event, with `finish_reason` ERROR and the message beside it."""


class Cohere(Sdk):
    name = "cohere"
    dialect = "cohere"
    errors = {
        0: MidStream,
        400: cohere.BadRequestError,
        401: cohere.UnauthorizedError,
        403: cohere.ForbiddenError,
        404: cohere.NotFoundError,
        # No class of its own.
        413: ApiError,
        429: cohere.TooManyRequestsError,
        # No class of its own.
        502: ApiError,
        503: cohere.ServiceUnavailableError,
    }

    def __init__(self, url: str, headers: dict[str, str]) -> None:
        super().__init__(url, headers)
        self.client = cohere.ClientV2(
            api_key="none", base_url=url, httpx_client=httpx.Client(headers=headers, timeout=20), log_warning_experimental_features=False
        )
        self.options: RequestOptions = {"max_retries": 0}

    def _fields(self, text: str, tools: bool) -> dict:
        offered = [
            {"type": "function", "function": {"name": n, "description": d, "parameters": p}}
            for n, (d, p) in TOOLS.items()
        ]
        fields = {"model": MODEL, "messages": [{"role": "user", "content": text}], "request_options": self.options}
        return fields | ({"tools": offered} if tools else {})

    def ask(self, text, tools=False):
        answer = self.client.chat(**self._fields(text, tools))
        said = "".join(part.text for part in answer.message.content or [])
        calls = [(c.function.name, json.loads(c.function.arguments)) for c in answer.message.tool_calls or []]
        return Turn(said, calls, [plain(answer)])

    def stream(self, text, tools=False):
        turn = Turn()
        built: list[list[str]] = []
        for event in self.client.chat_stream(**self._fields(text, tools)):
            turn.parts.append(plain(event))
            if event.type == "content-delta":
                turn.text += event.delta.message.content.text
            elif event.type == "tool-call-start":
                call = event.delta.message.tool_calls.function
                built.append([call.name, call.arguments or ""])
            elif event.type == "tool-call-delta":
                built[-1][1] += event.delta.message.tool_calls.function.arguments
            elif event.type == "message-end" and event.delta.finish_reason == "ERROR":
                raise MidStream(event.delta.error)
        turn.calls = [(name, json.loads(arguments)) for name, arguments in built]
        return turn

    def failure(self, error):
        if isinstance(error, MidStream):
            return Failure(MidStream, None, str(error), None)
        return Failure(type(error), error.status_code, error.body["message"], (error.headers or {}).get("retry-after"))
