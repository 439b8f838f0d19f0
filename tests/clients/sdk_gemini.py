"""The SDK of Google: generateContent of the Gemini API and of Vertex AI, and
interactions."""

from __future__ import annotations

import json

from google import genai
from google.genai import errors, types
from google.genai._gaos.lib import compat_errors as interaction_errors
from google.oauth2.credentials import Credentials
from sdk import TOOLS, Failure, Sdk, Turn, plain

MODEL = "gemini-2.5-flash"


class Gemini(Sdk):
    name = "google-genai"
    dialect = "gemini"
    errors = {
        0: errors.ClientError,
        400: errors.ClientError,
        401: errors.ClientError,
        403: errors.ClientError,
        404: errors.ClientError,
        413: errors.ClientError,
        429: errors.ClientError,
        502: errors.ServerError,
        503: errors.ServerError,
    }
    mid_stream = {503: errors[503]}

    def __init__(self, url: str, headers: dict[str, str]) -> None:
        super().__init__(url, headers)
        self.client = genai.Client(api_key="none", http_options=self._options("v1beta"))

    def _options(self, version: str) -> types.HttpOptions:
        once = types.HttpRetryOptions(attempts=1)
        return types.HttpOptions(
            base_url=self.url, api_version=version, headers=self.headers, timeout=20_000, retry_options=once
        )

    def _fields(self, text: str, tools: bool) -> dict:
        offered = [
            types.FunctionDeclaration(name=n, description=d, parameters_json_schema=p) for n, (d, p) in TOOLS.items()
        ]
        config = types.GenerateContentConfig(
            tools=[types.Tool(function_declarations=offered)] if tools else None,
            automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
        )
        return {"model": MODEL, "contents": text, "config": config}

    def ask(self, text, tools=False):
        turn = Turn()
        self._add(turn, self.client.models.generate_content(**self._fields(text, tools)))
        return turn

    def stream(self, text, tools=False):
        turn = Turn()
        for chunk in self.client.models.generate_content_stream(**self._fields(text, tools)):
            self._add(turn, chunk)
        return turn

    def _add(self, turn: Turn, answer) -> None:
        turn.parts.append(plain(answer))
        for part in answer.candidates[0].content.parts or []:
            turn.text += part.text or ""
            if part.function_call:
                turn.calls.append((part.function_call.name, dict(part.function_call.args)))

    def failure(self, error):
        retry = error.response.headers.get("retry-after")
        return Failure(type(error), error.code, error.message, retry)


class Vertex(Gemini):
    name = "google-genai vertex"
    dialect = "vertex"

    def __init__(self, url, headers):
        Sdk.__init__(self, url, headers)
        self.client = genai.Client(
            vertexai=True,
            project="p",
            location="europe-west1",
            credentials=Credentials(token="none"),
            http_options=self._options("v1"),
        )


class StreamError(Exception):
    """The SDK raises nothing for an error inside a stream of an interaction:
    it hands out an event of that type."""


class Interactions(Gemini):
    """The same client; its interactions have exceptions of their own."""

    name = "google-genai interactions"
    dialect = "gemini_interactions"
    errors = {
        0: StreamError,
        400: interaction_errors.BadRequestError,
        401: interaction_errors.AuthenticationError,
        403: interaction_errors.PermissionDeniedError,
        404: interaction_errors.NotFoundError,
        # No class of its own.
        413: interaction_errors.APIStatusError,
        429: interaction_errors.RateLimitError,
        502: interaction_errors.InternalServerError,
        503: interaction_errors.InternalServerError,
    }
    mid_stream: dict[int, type] = {}

    def _create(self, text: str, tools: bool, stream: bool):
        offered = [{"type": "function", "name": n, "description": d, "parameters": p} for n, (d, p) in TOOLS.items()]
        more = {"tools": offered} if tools else {}
        return self.client.interactions.create(model=MODEL, input=text, stream=stream, **more)

    def ask(self, text, tools=False):
        answer = plain(self._create(text, tools, False))
        turn = Turn(parts=[answer])
        for step in answer["steps"]:
            turn.text += "".join(block["text"] for block in step.get("content", []))
            if step["type"] == "function_call":
                turn.calls.append((step["name"], step["arguments"]))
        return turn

    def stream(self, text, tools=False):
        turn = Turn()
        name, built = "", ""
        for event in map(plain, self._create(text, tools, True)):
            turn.parts.append(event)
            if event["event_type"] == "error":
                raise StreamError(event["error"]["message"])
            delta = event.get("delta", {})
            turn.text += delta.get("text", "")
            name = event.get("step", {}).get("name", name)
            built += delta.get("arguments", "")
        turn.calls = [(name, json.loads(built))] if name else []
        return turn

    def failure(self, error):
        if isinstance(error, StreamError):
            return Failure(StreamError, None, str(error), None)
        message = error.body["error"]["message"]
        return Failure(type(error), error.status_code, message, error.response.headers.get("retry-after"))
