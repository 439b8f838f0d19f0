"""What the SDKs can ask for besides a chat: embeddings, judgements, images,
completions, token counts and lists of models.

Each call says what answers it: aimock, or a script where aimock has no such
interface. A script's answer is the provider's documented one, and the same
whatever was asked, so that only the filter can change it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import sdk_anthropic as claude
import sdk_bedrock as bedrock
import sdk_cohere as cohere
import sdk_gemini as gemini
import sdk_mistral as mistral
import sdk_ollama as ollama
import sdk_openai as openai
from plugin import EMAIL
from sdk import Sdk, plain
from upstream import Recorded, Reply, Script

LEAK = f"Write to {EMAIL} today."


@dataclass(frozen=True)
class Call:
    """One method of an SDK. `use` calls it about a text, and gives its answer
    as plain values, one an event where it is streamed."""

    name: str
    sdk: type[Sdk]
    dialect: str
    operation: str
    use: Callable[[Sdk, str], list]
    # Who answers in the place of aimock.
    script: Script | None = None
    # The answer has a text, which is `LEAK` if that is what was asked for.
    answers_text: bool = False
    # Why the record says that not all of the answer was read.
    gap: str | None = None


def always(value: dict) -> Script:
    return lambda _request: Reply.json(value)


# --- texts in, numbers out ---


def openai_embeddings(sdk, text):
    return [plain(sdk.client.embeddings.create(model="text-embedding-3-small", input=["first", text]))]


def openai_moderations(sdk, text):
    return [plain(sdk.client.moderations.create(model="omni-moderation-latest", input=text))]


def openai_input_tokens(sdk, text):
    return [plain(sdk.client.responses.input_tokens.count(model=openai.MODEL, input=text))]


def anthropic_count(sdk, text):
    turns = [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "hi"}, {"role": "user", "content": text}]
    return [plain(sdk.client.messages.count_tokens(model=claude.MODEL, system="Be kind.", messages=turns))]


def gemini_embeddings(sdk, text):
    return [plain(sdk.client.models.embed_content(model="gemini-embedding-001", contents=["first", text]))]


def gemini_count(sdk, text):
    return [plain(sdk.client.models.count_tokens(model=gemini.MODEL, contents=["hello", text]))]


def vertex_embeddings(sdk, text):
    return [plain(sdk.client.models.embed_content(model="text-embedding-005", contents=[text]))]


def bedrock_count(sdk, text):
    messages = [{"role": "user", "content": [{"text": text}]}]
    answer = sdk.client.count_tokens(modelId=bedrock.MODEL, input={"converse": {"messages": messages}})
    return [answer]


def cohere_embeddings(sdk, text):
    asked = {"model": "embed-v4.0", "input_type": "search_document", "embedding_types": ["float"]}
    return [plain(sdk.client.embed(**asked, texts=["first", text], request_options=sdk.options))]


def cohere_rerank(sdk, text):
    documents = ["Nothing of interest.", f"In here: {text}"]
    answer = sdk.client.rerank(model="rerank-v3.5", query=text, documents=documents, request_options=sdk.options)
    return [plain(answer)]


def mistral_embeddings(sdk, text):
    answer = sdk.client.embeddings.create(model="mistral-embed", inputs=["first", text], http_headers=sdk.headers)
    return [plain(answer)]


def mistral_moderations(sdk, text):
    asked = {"model": "mistral-moderation-latest", "http_headers": sdk.headers}
    return [plain(sdk.client.classifiers.moderate(**asked, inputs=["first", text]))]


def ollama_embeddings(sdk, text):
    return [plain(sdk.client.embed("nomic-embed-text", ["first", text]))]


# --- texts in, texts out ---


def openai_completion(sdk, text):
    return [plain(sdk.client.completions.create(model="gpt-3.5-turbo-instruct", prompt=["first", text]))]


def openai_completion_stream(sdk, text):
    events = sdk.client.completions.create(model="gpt-3.5-turbo-instruct", prompt=text, stream=True)
    return [plain(event) for event in events]


def openai_image(sdk, text):
    return [plain(sdk.client.images.generate(model="dall-e-3", prompt=text))]


def mistral_fim(sdk, text):
    asked = {"model": "codestral-latest", "http_headers": sdk.headers}
    return [plain(sdk.client.fim.complete(**asked, prompt=text, suffix="# the end"))]


def ollama_generate(sdk, text):
    return [plain(sdk.client.generate(ollama.MODEL, repeat(text), system="Be kind."))]


def ollama_generate_stream(sdk, text):
    return [plain(part) for part in sdk.client.generate(ollama.MODEL, repeat(text), stream=True)]


def repeat(text: str) -> str:
    """The prompt that aimock answers with `text`."""
    return text if text == "leak" else f"repeat: {text}"


def said(request: Recorded) -> str:
    """The last prompt of a request, said again; `leak` is answered with what
    should not be said."""
    prompt = request.json()["prompt"]
    prompt = prompt[-1] if isinstance(prompt, list) else prompt
    return LEAK if prompt == "leak" else prompt


def completion(request: Recorded) -> Reply:
    text = said(request)
    base = {"id": "cmpl-1", "object": "text_completion", "created": 1, "model": "gpt-3.5-turbo-instruct"}
    usage = {"prompt_tokens": 4, "completion_tokens": 5, "total_tokens": 9}
    made = lambda text, finish: {"text": text, "index": 0, "logprobs": None, "finish_reason": finish}  # noqa: E731
    if not request.json().get("stream"):
        return Reply.json(base | {"choices": [made(text, "stop")], "usage": usage})
    events = [base | {"choices": [made(text[at : at + 3], None)]} for at in range(0, len(text), 3)]
    return Reply.sse([*events, base | {"choices": [made("", "stop")]}])


def fim(request: Recorded) -> Reply:
    message = {"role": "assistant", "content": said(request), "tool_calls": None}
    usage = {"prompt_tokens": 4, "completion_tokens": 5, "total_tokens": 9}
    base = {"id": "1", "object": "chat.completion", "created": 1, "model": "codestral-latest", "usage": usage}
    return Reply.json(base | {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]})


SCORES = {"violence": 0.75, "harassment": 0.25}
MODERATED = {"categories": {k: v > 0.5 for k, v in SCORES.items()}, "category_scores": SCORES}
RANKED = [{"index": 1, "relevance_score": 0.75}, {"index": 0, "relevance_score": 0.25}]
MISTRAL_VECTORS = {
    **{"id": "1", "object": "list", "model": "mistral-embed"},
    "data": [{"object": "embedding", "embedding": [0.25, -0.5], "index": index} for index in range(2)],
    "usage": {"prompt_tokens": 9, "completion_tokens": 0, "total_tokens": 9},
}
VECTORS = {"predictions": [{"embeddings": {"values": [0.25, -0.5], "statistics": {"token_count": 3, "truncated": False}}}]}
JUDGED = {"id": "1", "model": "mistral-moderation-latest", "results": [{"categories": {"pii": True}, "category_scores": {"pii": 0.75}}]}

CALLS = [
    Call("openai embeddings", openai.OpenAiChat, "openai_embeddings", "embeddings", openai_embeddings),
    Call("openai azure embeddings", openai.AzureOpenAi, "azure_openai", "embeddings", openai_embeddings),
    Call(
        *("openai moderations", openai.OpenAiChat, "openai_moderations", "moderation", openai_moderations),
        # aimock keeps no body of these, nor of reranking.
        always({"id": "modr-1", "model": "omni-moderation-latest", "results": [MODERATED | {"flagged": True}]}),
    ),
    Call(
        *("openai input tokens", openai.OpenAiChat, "openai_responses", "count_tokens", openai_input_tokens),
        always({"object": "response.input_tokens", "input_tokens": 21}),
    ),
    Call("openai completion", openai.OpenAiChat, "openai_completions", "text_completion", openai_completion, completion, True),
    Call(
        *("openai completion stream", openai.OpenAiChat, "openai_completions", "text_completion"),
        *(openai_completion_stream, completion, True),
    ),
    Call("openai image", openai.OpenAiChat, "openai_images", "image", openai_image, gap="response.media"),
    Call(
        *("anthropic count", claude.Anthropic, "anthropic", "count_tokens", anthropic_count),
        always({"input_tokens": 21}),
    ),
    Call(
        *("google-genai embeddings", gemini.Gemini, "gemini", "embeddings", gemini_embeddings),
        always({"embeddings": [{"values": [0.25, -0.5]}, {"values": [1.0, 0.0]}]}),
    ),
    Call(
        *("google-genai count", gemini.Gemini, "gemini", "count_tokens", gemini_count),
        always({"totalTokens": 21, "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 21}]}),
    ),
    Call("google-genai vertex embeddings", gemini.Vertex, "vertex", "embeddings", vertex_embeddings, always(VECTORS)),
    Call(
        *("google-genai vertex count", gemini.Vertex, "vertex", "count_tokens", gemini_count),
        always({"totalTokens": 21, "totalBillableCharacters": 40}),
    ),
    Call(
        *("boto3 count", bedrock.Converse, "bedrock_converse", "count_tokens", bedrock_count),
        always({"inputTokens": 21}),
    ),
    Call("cohere embeddings", cohere.Cohere, "cohere", "embeddings", cohere_embeddings),
    Call(
        *("cohere rerank", cohere.Cohere, "cohere", "rerank", cohere_rerank),
        always({"id": "1", "results": RANKED, "meta": {"billed_units": {"search_units": 1}}}),
    ),
    Call(
        *("mistralai embeddings", mistral.Mistral, "openai_embeddings", "embeddings", mistral_embeddings),
        always(MISTRAL_VECTORS),
    ),
    Call(
        *("mistralai moderations", mistral.Mistral, "openai_moderations", "moderation", mistral_moderations),
        always(JUDGED),
    ),
    Call("mistralai fim", mistral.Mistral, "openai_completions", "text_completion", mistral_fim, fim, True),
    Call(
        *("ollama embeddings", ollama.Ollama, "ollama", "embeddings", ollama_embeddings),
        always({"model": "nomic-embed-text", "embeddings": [[0.25, -0.5], [1.0, 0.0]], "prompt_eval_count": 9}),
    ),
    Call("ollama generate", ollama.Ollama, "ollama", "text_completion", ollama_generate, None, True),
    Call("ollama generate stream", ollama.Ollama, "ollama", "text_completion", ollama_generate_stream, None, True),
]


# --- lists of models ---


@dataclass(frozen=True)
class Listing:
    """A list of models: how the provider writes it, how the SDK reads it."""

    name: str
    sdk: type[Sdk]
    dialect: str
    use: Callable[[Sdk], list[str]]
    answer: dict = field(hash=False)
    everything: tuple[str, ...] = ()

    def script(self, _request: Recorded) -> Reply:
        return Reply.json(self.answer)


def listing(name: str, sdk: type[Sdk], dialect: str, use, wrap, ids: tuple[str, ...]) -> Listing:
    return Listing(name, sdk, dialect, use, wrap(ids), ids)


def openai_list(ids) -> dict:
    return {"object": "list", "data": [{"id": i, "object": "model", "created": 1, "owned_by": "x"} for i in ids]}


def anthropic_list(ids) -> dict:
    models = [{"type": "model", "id": i, "display_name": i, "created_at": "2025-09-29T00:00:00Z"} for i in ids]
    return {"data": models, "has_more": False, "first_id": ids[0], "last_id": ids[-1]}


def gemini_list(ids) -> dict:
    return {"models": [{"name": f"models/{i}", "version": "001", "displayName": i, "inputTokenLimit": 9} for i in ids]}


def mistral_list(ids) -> dict:
    able = {"completion_chat": True, "function_calling": True, "completion_fim": False, "fine_tuning": False, "vision": False}
    models = [{"id": i, "object": "model", "created": 1, "owned_by": "mistralai", "capabilities": able, "type": "base"} for i in ids]
    return {"object": "list", "data": models}


def cohere_list(ids) -> dict:
    models = [{"name": i, "endpoints": ["chat"], "finetuned": False, "context_length": 9, "default_endpoints": []} for i in ids]
    return {"models": models, "next_page_token": None}


def ollama_list(ids) -> dict:
    details = {"format": "gguf", "family": "llama", "parameter_size": "3B", "quantization_level": "Q4_0"}
    stamp = "2025-09-29T00:00:00Z"
    return {"models": [{"name": i, "model": i, "modified_at": stamp, "size": 9, "digest": "a" * 64, "details": details} for i in ids]}


LISTINGS = [
    listing(
        *("openai", openai.OpenAiChat, "openai_models", lambda sdk: [m.id for m in sdk.client.models.list()]),
        *(openai_list, ("gpt-5", "open-small", "gpt-5-uncensored")),
    ),
    listing(
        *("anthropic", claude.Anthropic, "anthropic", lambda sdk: [m.id for m in sdk.client.models.list()]),
        *(anthropic_list, ("claude-opus", "open-haiku", "claude-uncensored")),
    ),
    listing(
        *("google-genai", gemini.Gemini, "gemini"),
        lambda sdk: [m.name.removeprefix("models/") for m in sdk.client.models.list()],
        *(gemini_list, ("gemini-pro", "open-gemma", "gemma-uncensored")),
    ),
    listing(
        *("mistralai", mistral.Mistral, "openai_models"),
        lambda sdk: [m.id for m in sdk.client.models.list(http_headers=sdk.headers).data],
        *(mistral_list, ("mistral-large", "open-mistral", "mistral-uncensored")),
    ),
    listing(
        *("cohere", cohere.Cohere, "openai_models"),
        lambda sdk: [m.name for m in sdk.client.models.list(request_options=sdk.options).models],
        *(cohere_list, ("command-a", "open-aya", "command-uncensored")),
    ),
    listing(
        *("ollama", ollama.Ollama, "ollama", lambda sdk: [m.model for m in sdk.client.list().models]),
        *(ollama_list, ("llama3.2:latest", "open-llama:1b", "llama-uncensored")),
    ),
]
