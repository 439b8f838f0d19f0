"""`tokenize` through a real Envoy: the model sees placeholders, the client its
own values."""

import json
import re

import pytest
from plugin import AGENT, CARD, EMAIL, plugin
from upstream import Reply, chat_reply, chat_stream

SCAN = {
    "request": {"pii": "tokenize", "secrets": "redact"},
    "response": {"pii": "redact", "secrets": "redact"},
}
CONFIG = plugin(policy={"scan": SCAN}, audit={"key": "a key of sixteen bytes or more"})
PROMPT = f"Mail {EMAIL} about {CARD}"
PLACEHOLDER = re.compile(r"\[[A-Z-]+_[a-p]{12}\]")


def seen(upstream) -> list[str]:
    """The placeholders in the last request."""
    text = upstream.last.body.decode()
    assert EMAIL not in text and CARD not in text
    return PLACEHOLDER.findall(text)


def repeating(size: int | None = None, cut: int | None = None):
    """A model that says back what it was told, whole or in pieces of `size`."""

    def answer(request) -> Reply:
        text = "You said: " + request.json()["messages"][-1]["content"] + ". Not other@example.org!"
        if size is None:
            return chat_reply(text)
        return chat_stream([text[i : i + size] for i in range(0, len(text), size)], cut=cut)

    return answer


def test_a_whole_answer_has_the_values_back(envoy, upstream):
    proxy = envoy(CONFIG)
    upstream.script = repeating()
    answer = proxy.chat(PROMPT, headers=[AGENT])
    mail, card = seen(upstream)
    assert mail.startswith("[EMAIL_") and card.startswith("[CARD-NUMBER_")
    assert answer.text() == f"You said: {PROMPT}. Not [EMAIL]!"
    record = proxy.audit()
    assert record["placeholders"] == {"made": 2, "restored": 2} and record["decision"] == "redact"
    assert not PLACEHOLDER.search(json.dumps(record)) and EMAIL not in proxy.log()


@pytest.mark.parametrize(("size", "cut"), [(1, None), (2, 1), (3, 7), (5, 64), (8, None), (13, 3), (400, 1)])
def test_a_streamed_answer_has_the_values_back(envoy, upstream, size, cut):
    proxy = envoy(CONFIG)
    upstream.script = repeating(size, cut)
    answer = proxy.chat(PROMPT, headers=[AGENT], stream=True)
    assert len(seen(upstream)) == 2
    assert answer.complete and answer.text() == f"You said: {PROMPT}. Not [EMAIL]!"
    assert answer.events()[-1] == "[DONE]"
    assert proxy.audit()["placeholders"] == {"made": 2, "restored": 2}


def test_a_placeholder_is_the_clients_own(envoy, upstream):
    proxy = envoy(CONFIG)
    upstream.script = repeating()
    proxy.chat(EMAIL, headers=[AGENT])
    (first,) = seen(upstream)
    proxy.chat("again " + EMAIL, headers=[AGENT])
    assert seen(upstream) == [first], "stable for one subject"
    proxy.chat(EMAIL, headers=[("x-agent-id", "bob")])
    assert seen(upstream) != [first], "another's says nothing"
    for who in (AGENT, ("x-agent-id", "bob")):
        answer = proxy.chat(f"what is {first}?", headers=[who])
        assert answer.text() == f"You said: what is {first}?. Not [EMAIL]!"
    # Three requests had a value each; the two that only named its placeholder had none.
    assert [r.get("placeholders") for r in proxy.audits(5)] == [{"made": 1, "restored": 1}] * 3 + [None] * 2


@pytest.mark.parametrize("size", [1, 4, 9, 1000])
def test_arguments_of_tools_have_the_values_back(envoy, upstream, size):
    def answer(request) -> Reply:
        (mail,) = PLACEHOLDER.findall(request.body.decode())
        arguments = json.dumps({"to": mail, "text": f'say "hi"\n{mail}'})
        parts = [arguments[i : i + size] for i in range(0, len(arguments), size)]
        base = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
        function = {"name": "send", "arguments": ""}
        calls = [{"index": 0, "id": "t", "type": "function", "function": function}]
        calls += [{"index": 0, "function": {"arguments": part}} for part in parts]
        deltas = [{"index": 0, "delta": {"tool_calls": [call]}, "finish_reason": None} for call in calls]
        deltas.append({"index": 0, "delta": {}, "finish_reason": "tool_calls"})
        return Reply.sse([base | {"choices": [delta]} for delta in deltas])

    upstream.script = answer
    built = ""
    for event in envoy(CONFIG).chat(f"Mail {EMAIL}", headers=[AGENT], stream=True).events()[:-1]:
        for call in event["choices"][0]["delta"].get("tool_calls", []):
            built += call["function"]["arguments"]
    assert json.loads(built) == {"to": EMAIL, "text": f'say "hi"\n{EMAIL}'}


def test_without_a_key_the_configuration_is_refused(own_envoy):
    with pytest.raises(Exception, match="tokenize needs audit.key"):
        own_envoy(plugin(policy={"scan": SCAN}))
