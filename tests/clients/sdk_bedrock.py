"""The SDK of AWS: Converse and InvokeModel of Amazon Bedrock."""

from __future__ import annotations

import json

import boto3
import scripts
from botocore.config import Config
from botocore.exceptions import ClientError, EventStreamError
from sdk import TOOLS, Failure, Sdk, Turn

MODEL = "anthropic.claude-3-5-sonnet-20241022-v2:0"


class Converse(Sdk):
    name = "boto3 converse"
    dialect = "bedrock_converse"

    def __init__(self, url: str, headers: dict[str, str]) -> None:
        super().__init__(url, headers)
        self.client = boto3.client(
            "bedrock-runtime",
            region_name="eu-central-1",
            endpoint_url=url,
            aws_access_key_id="none",
            aws_secret_access_key="none",
            config=Config(retries={"total_max_attempts": 1}, read_timeout=20, parameter_validation=True),
        )
        self.client.meta.events.register("before-send.*", self._with_headers)
        found = self.client.exceptions
        self.errors = {
            0: EventStreamError,
            400: found.ValidationException,
            # The API has no class of its own for it.
            401: ClientError,
            403: found.AccessDeniedException,
            404: found.ResourceNotFoundException,
            413: found.ValidationException,
            429: found.ThrottlingException,
            502: found.ModelErrorException,
            503: found.ServiceUnavailableException,
        }

    @staticmethod
    def script(streamed, tools):
        return scripts.converse_stream if streamed else None

    def _with_headers(self, request, **_) -> None:
        for name, value in self.headers.items():
            request.headers[name] = value

    def _fields(self, text: str, tools: bool) -> dict:
        offered = [
            {"toolSpec": {"name": n, "description": d, "inputSchema": {"json": p}}} for n, (d, p) in TOOLS.items()
        ]
        fields = {"modelId": MODEL, "messages": [{"role": "user", "content": [{"text": text}]}]}
        return fields | ({"toolConfig": {"tools": offered}} if tools else {})

    def ask(self, text, tools=False):
        answer = self.client.converse(**self._fields(text, tools))
        turn = Turn(parts=[answer])
        for block in answer["output"]["message"]["content"]:
            turn.text += block.get("text", "")
            if call := block.get("toolUse"):
                turn.calls.append((call["name"], call["input"]))
        return turn

    def stream(self, text, tools=False):
        turn = Turn()
        name, built = "", ""
        for event in self.client.converse_stream(**self._fields(text, tools))["stream"]:
            turn.parts.append(event)
            started = event.get("contentBlockStart", {}).get("start", {}).get("toolUse")
            name = started["name"] if started else name
            delta = event.get("contentBlockDelta", {}).get("delta", {})
            turn.text += delta.get("text", "")
            built += delta.get("toolUse", {}).get("input", "")
        turn.calls = [(name, json.loads(built))] if name else []
        return turn

    def failure(self, error):
        answer = error.response
        meta = answer.get("ResponseMetadata", {})
        retry = meta.get("HTTPHeaders", {}).get("retry-after")
        return Failure(type(error), meta.get("HTTPStatusCode"), answer["Error"]["Message"], retry)


class InvokeModel(Converse):
    """The same service with bodies in the model's own format."""

    name = "boto3 invoke"
    dialect = "bedrock_invoke"

    @staticmethod
    def script(streamed, tools):
        return scripts.invoke_stream if streamed else None

    def _body(self, text: str, tools: bool) -> dict:
        offered = [{"name": n, "description": d, "input_schema": p} for n, (d, p) in TOOLS.items()]
        body = {
            "anthropic_version": "bedrock-2023-05-31",
            "max_tokens": 200,
            "messages": [{"role": "user", "content": text}],
        } | ({"tools": offered} if tools else {})
        return {"modelId": MODEL, "body": json.dumps(body, ensure_ascii=False)}

    def ask(self, text, tools=False):
        answer = json.loads(self.client.invoke_model(**self._body(text, tools))["body"].read())
        turn = Turn(parts=[answer])
        for block in answer["content"]:
            turn.text += block.get("text", "")
            if block["type"] == "tool_use":
                turn.calls.append((block["name"], block["input"]))
        return turn

    def stream(self, text, tools=False):
        turn = Turn()
        name, built = "", ""
        for event in self.client.invoke_model_with_response_stream(**self._body(text, tools))["body"]:
            part = json.loads(event["chunk"]["bytes"])
            turn.parts.append(part)
            if part["type"] == "content_block_start":
                name = part["content_block"].get("name", name)
            delta = part.get("delta", {})
            turn.text += delta.get("text", "")
            built += delta.get("partial_json", "")
        turn.calls = [(name, json.loads(built))] if name else []
        return turn
