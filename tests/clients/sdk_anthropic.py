"""The SDK of Anthropic: messages."""

from __future__ import annotations

import anthropic
from sdk import TOOLS, Failure, Sdk, Turn, plain

MODEL = "claude-sonnet-4-5"


class Anthropic(Sdk):
    name = "anthropic"
    dialect = "anthropic"
    errors = {
        0: anthropic.APIStatusError,
        400: anthropic.BadRequestError,
        401: anthropic.AuthenticationError,
        403: anthropic.PermissionDeniedError,
        404: anthropic.NotFoundError,
        413: anthropic.RequestTooLargeError,
        429: anthropic.RateLimitError,
        502: anthropic.InternalServerError,
        503: anthropic.ServiceUnavailableError,
    }

    def __init__(self, url: str, headers: dict[str, str], retries: int = 0) -> None:
        super().__init__(url, headers)
        self.client = anthropic.Anthropic(
            api_key="none", base_url=url, default_headers=headers, max_retries=retries, timeout=20
        )

    def _fields(self, text: str, tools: bool) -> dict:
        offered = [{"name": n, "description": d, "input_schema": p} for n, (d, p) in TOOLS.items()]
        fields = {"model": MODEL, "max_tokens": 200, "messages": [{"role": "user", "content": text}]}
        return fields | ({"tools": offered} if tools else {})

    def ask(self, text, tools=False):
        return self._turn(self.client.messages.create(**self._fields(text, tools)))

    def _turn(self, answer) -> Turn:
        said = "".join(block.text for block in answer.content if block.type == "text")
        calls = [(block.name, block.input) for block in answer.content if block.type == "tool_use"]
        return Turn(said, calls, [plain(answer)])

    def stream(self, text, tools=False):
        parts = []
        with self.client.messages.stream(**self._fields(text, tools)) as stream:
            for event in stream:
                parts.append(plain(event))
            turn = self._turn(stream.get_final_message())
        turn.parts = parts
        return turn

    def failure(self, error):
        message = error.body["error"]["message"]
        return Failure(type(error), error.status_code, message, error.response.headers.get("retry-after"))
