"""The SDK of Mistral: chat."""

from __future__ import annotations

import json

import scripts
from mistralai.client import Mistral as Client
from mistralai.client import errors
from sdk import TOOLS, Failure, Sdk, Turn, plain

MODEL = "mistral-small-latest"


class Mistral(Sdk):
    name = "mistralai"
    dialect = "openai_chat"
    # One class for every status; in a stream, what is no chunk is a fault in
    # the answer's form, and the exception shows it.
    errors = dict.fromkeys((400, 401, 403, 404, 413, 429, 502, 503), errors.SDKError) | {0: errors.ResponseValidationError}

    def __init__(self, url: str, headers: dict[str, str]) -> None:
        super().__init__(url, headers)
        self.client = Client(api_key="none", server_url=url, timeout_ms=20_000)

    @staticmethod
    def script(streamed, tools):
        return scripts.mistral_stream if streamed and tools else None

    def _fields(self, text: str, tools: bool) -> dict:
        offered = [
            {"type": "function", "function": {"name": n, "description": d, "parameters": p}}
            for n, (d, p) in TOOLS.items()
        ]
        fields = {"model": MODEL, "messages": [{"role": "user", "content": text}], "http_headers": self.headers}
        return fields | ({"tools": offered} if tools else {})

    def ask(self, text, tools=False):
        answer = self.client.chat.complete(**self._fields(text, tools))
        message = answer.choices[0].message
        calls = [(c.function.name, json.loads(c.function.arguments)) for c in message.tool_calls or []]
        return Turn(message.content or "", calls, [plain(answer)])

    def stream(self, text, tools=False):
        turn = Turn()
        built: dict[int, list[str]] = {}
        for event in self.client.chat.stream(**self._fields(text, tools)):
            turn.parts.append(plain(event))
            for choice in event.data.choices:
                turn.text += choice.delta.content or ""
                for call in choice.delta.tool_calls or []:
                    name, arguments = built.get(call.index, ["", ""])
                    built[call.index] = [name or call.function.name, arguments + call.function.arguments]
        turn.calls = [(name, json.loads(arguments)) for name, arguments in built.values()]
        return turn

    def failure(self, error):
        if isinstance(error, errors.ResponseValidationError):
            return Failure(type(error), None, json.loads(error.body)["data"]["error"]["message"], None)
        message = json.loads(error.body)["error"]["message"]
        return Failure(type(error), error.status_code, message, error.headers.get("retry-after"))
