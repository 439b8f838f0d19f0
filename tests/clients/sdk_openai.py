"""The SDK of OpenAI: chat completions and responses."""

from __future__ import annotations

import json

import openai
from sdk import TOOLS, Failure, Sdk, Turn, plain

MODEL = "gpt-4o-mini"


class OpenAiChat(Sdk):
    name = "openai chat"
    dialect = "openai_chat"
    errors = {
        0: openai.APIError,
        400: openai.BadRequestError,
        401: openai.AuthenticationError,
        403: openai.PermissionDeniedError,
        404: openai.NotFoundError,
        # No class of its own.
        413: openai.APIStatusError,
        429: openai.RateLimitError,
        502: openai.InternalServerError,
        503: openai.InternalServerError,
    }

    def __init__(self, url: str, headers: dict[str, str], retries: int = 0) -> None:
        super().__init__(url, headers)
        self.client = openai.OpenAI(
            api_key="none", base_url=url + "/v1", default_headers=headers, max_retries=retries, timeout=20
        )

    def _create(self, text: str, tools: bool, **more):
        offered = [
            {"type": "function", "function": {"name": n, "description": d, "parameters": p}}
            for n, (d, p) in TOOLS.items()
        ]
        more |= {"tools": offered} if tools else {}
        return self.client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": text}], **more)

    def ask(self, text, tools=False):
        answer = self._create(text, tools)
        message = answer.choices[0].message
        calls = [(c.function.name, json.loads(c.function.arguments)) for c in message.tool_calls or []]
        return Turn(message.content or "", calls, [plain(answer)])

    def stream(self, text, tools=False):
        turn = Turn()
        built: dict[int, list[str]] = {}
        for chunk in self._create(text, tools, stream=True):
            turn.parts.append(plain(chunk))
            for choice in chunk.choices:
                turn.text += choice.delta.content or ""
                for call in choice.delta.tool_calls or []:
                    name, arguments = built.get(call.index, ["", ""])
                    built[call.index] = [name or call.function.name, arguments + (call.function.arguments or "")]
        turn.calls = [(name, json.loads(arguments)) for name, arguments in built.values()]
        return turn

    def failure(self, error):
        response = getattr(error, "response", None)
        retry = response.headers.get("retry-after") if response is not None else None
        message = error.body["message"] if isinstance(error.body, dict) else error.message
        return Failure(type(error), getattr(error, "status_code", None), message, retry)


class OpenAiResponses(OpenAiChat):
    name = "openai responses"
    dialect = "openai_responses"

    def _create(self, text, tools, **more):
        offered = [{"type": "function", "name": n, "description": d, "parameters": p} for n, (d, p) in TOOLS.items()]
        more |= {"tools": offered} if tools else {}
        return self.client.responses.create(model=MODEL, input=text, **more)

    def ask(self, text, tools=False):
        return self._turn(self._create(text, tools))

    def _turn(self, answer) -> Turn:
        calls = [(i.name, json.loads(i.arguments)) for i in answer.output if i.type == "function_call"]
        return Turn(answer.output_text, calls, [plain(answer)])

    def stream(self, text, tools=False):
        turn = Turn()
        texts, final = "", None
        for event in self._create(text, tools, stream=True):
            turn.parts.append(plain(event))
            if event.type == "response.output_text.delta":
                texts += event.delta
            if event.type == "response.completed":
                final = self._turn(event.response)
        turn.text, turn.calls = texts, final.calls
        return turn


class AzureOpenAi(OpenAiChat):
    name = "openai azure"
    dialect = "azure_openai"

    def __init__(self, url, headers, retries=0):
        Sdk.__init__(self, url, headers)
        self.client = openai.AzureOpenAI(
            api_key="none",
            azure_endpoint=url,
            api_version="2024-10-21",
            default_headers=headers,
            max_retries=retries,
            timeout=20,
        )
