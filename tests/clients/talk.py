"""The SDKs that chat, and how the tests talk through them."""

from __future__ import annotations

import pytest
from conftest import SCRIPTED, Gate
from sdk import Sdk, Turn
from sdk_anthropic import Anthropic
from sdk_bedrock import Converse, InvokeModel
from sdk_cohere import Cohere
from sdk_gemini import Gemini, Interactions, Vertex
from sdk_mistral import Mistral
from sdk_ollama import Ollama
from sdk_openai import AzureOpenAi, OpenAiChat, OpenAiResponses
from upstream import Upstream

ANN = {"x-agent-id": "ann"}
SDKS = [
    OpenAiChat,
    OpenAiResponses,
    AzureOpenAi,
    Anthropic,
    Gemini,
    Vertex,
    Interactions,
    Converse,
    InvokeModel,
    Cohere,
    Mistral,
    Ollama,
]

every_sdk = pytest.mark.parametrize("kind", SDKS, ids=lambda kind: kind.name.replace(" ", "-"))
whole_and_streamed = pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])


class Talk:
    """Asks through the proxy, or straight at the server that answers."""

    def __init__(self, gate: Gate, scripted: Upstream, kind: type[Sdk]) -> None:
        self.gate, self.scripted, self.kind = gate, scripted, kind

    def sdk(self, streamed: bool, tools: bool, direct: bool, headers: dict) -> Sdk:
        script = self.kind.script(streamed, tools)
        if script:
            self.scripted.script = script
        url = (self.gate.servers["scripted"] if script else self.gate.aimock) if direct else self.gate.url
        return self.kind(url, headers | (SCRIPTED if script else {}))

    def say(self, text: str, streamed: bool, tools: bool = False, direct: bool = False, headers: dict = ANN) -> Turn:
        return self.sdk(streamed, tools, direct, headers).say(text, streamed, tools)

    def fails(self, text: str, streamed: bool, headers: dict = ANN) -> tuple[Sdk, object]:
        sdk = self.sdk(streamed, False, False, headers)
        with pytest.raises(Exception) as caught:
            sdk.say(text, streamed)
        if not isinstance(caught.value, tuple(sdk.errors.values())):
            raise caught.value
        return sdk, sdk.failure(caught.value)


@pytest.fixture
def talk(gate: Gate, scripted: Upstream, kind: type[Sdk]) -> Talk:
    return Talk(gate, scripted, kind)
