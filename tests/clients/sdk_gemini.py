"""The SDK of Google: generateContent of the Gemini API and of Vertex AI."""

from __future__ import annotations

from google import genai
from google.genai import errors, types
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
        429: errors.ClientError,
        502: errors.ServerError,
        503: errors.ServerError,
    }

    def __init__(self, url: str, headers: dict[str, str]) -> None:
        super().__init__(url, headers)
        self.client = genai.Client(api_key="none", http_options=self._options("v1beta"))

    def _options(self, version: str) -> types.HttpOptions:
        return types.HttpOptions(base_url=self.url, api_version=version, headers=self.headers, timeout=20_000)

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
