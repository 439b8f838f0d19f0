"""The SDK of Ollama: chat."""

from __future__ import annotations

import ollama
from sdk import TOOLS, Failure, Sdk, Turn, plain

MODEL = "llama3.2"


class Ollama(Sdk):
    name = "ollama"
    dialect = "ollama"
    # One class for every status, and none of the answer's headers.
    errors = dict.fromkeys((0, 400, 401, 403, 404, 413, 429, 502, 503), ollama.ResponseError)
    tells_headers = False

    def __init__(self, url: str, headers: dict[str, str]) -> None:
        super().__init__(url, headers)
        self.client = ollama.Client(url, headers=headers, timeout=20)

    def _chat(self, text: str, tools: bool, stream: bool):
        offered = [
            {"type": "function", "function": {"name": n, "description": d, "parameters": p}}
            for n, (d, p) in TOOLS.items()
        ]
        messages = [{"role": "user", "content": text}]
        return self.client.chat(MODEL, messages, tools=offered if tools else None, stream=stream)

    def ask(self, text, tools=False):
        turn = Turn()
        self._add(turn, self._chat(text, tools, False))
        return turn

    def stream(self, text, tools=False):
        turn = Turn()
        for part in self._chat(text, tools, True):
            self._add(turn, part)
        return turn

    def _add(self, turn: Turn, answer) -> None:
        turn.parts.append(plain(answer))
        turn.text += answer.message.content or ""
        turn.calls += [(c.function.name, dict(c.function.arguments)) for c in answer.message.tool_calls or []]

    def failure(self, error):
        return Failure(type(error), error.status_code, error.error, None)
