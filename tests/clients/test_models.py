"""Every provider's SDK, plain and streamed, through the filter: what must
pass is as without it, what must not is masked."""

from __future__ import annotations

import re

import pytest
from plugin import CARD, EMAIL
from sdk import steady
from talk import ANN, every_sdk, talk, whole_and_streamed  # noqa: F401


@every_sdk
@whole_and_streamed
@pytest.mark.parametrize("prompt", ["greet", "call weather"])
def test_an_answer_is_as_without_the_filter(talk, records, streamed, prompt):
    tools = prompt.startswith("call")
    direct = talk.say(prompt, streamed, tools, direct=True)
    filtered = talk.say(prompt, streamed, tools)
    assert steady(filtered.parts) == steady(direct.parts)
    assert (filtered.text, filtered.calls) == (direct.text, direct.calls)
    if tools:
        assert filtered.calls == [("weather", {"city": 'Zürich "Altstadt"', "days": 3, "exact": True})]
    else:
        assert filtered.text == 'Hello there.\nGrüße, "friend" – all is well.'
    record = records.audit()
    assert (record["dialect"], record["coverage"], record["decision"]) == (talk.kind.dialect, "full", "allow")
    assert record["usage"]["source"] == "provider" and record["stream"] is streamed
    assert record["tools_offered"] == (["weather", "send"] if tools else [])
    assert [call["name"] for call in record["tools_called"]] == (["weather"] if tools else [])


@every_sdk
@whole_and_streamed
def test_the_model_sees_labels(talk, streamed):
    turn = talk.say(f"repeat: mail {EMAIL}, card {CARD}.", streamed)
    assert turn.text == "mail [EMAIL], card [CARD-NUMBER]."
    seen = talk.gate.seen_by_the_model(talk.scripted)
    assert "[EMAIL]" in seen and EMAIL not in seen and CARD not in seen


@every_sdk
@whole_and_streamed
def test_the_client_sees_labels(talk, records, streamed):
    turn = talk.say("leak", streamed)
    assert turn.text == "Write to [EMAIL] today."
    assert "jane" not in repr(turn.parts) and "example.com" not in repr(turn.parts)
    assert records.audit()["decision"] == "redact"


@every_sdk
@whole_and_streamed
def test_labels_in_the_arguments_of_a_tool(talk, streamed):
    turn = talk.say("call leak", streamed, tools=True)
    assert turn.calls == [("send", {"to": "[EMAIL]", "body": 'say "hi"\n'})]
    assert "jane" not in repr(turn.parts)


@every_sdk
@whole_and_streamed
@pytest.mark.parametrize("tools", [False, True], ids=["text", "tool"])
def test_placeholders_go_out_and_values_come_back(talk, streamed, tools):
    headers = ANN | {"x-agent-groups": "tokens"}
    said = f"mail {EMAIL}, card {CARD}."
    turn = talk.say(("call send: " if tools else "repeat: ") + said, streamed, tools, headers=headers)
    if tools:
        assert turn.calls == [("send", {"to": said, "body": 'say "hi"\n'})]
    else:
        assert turn.text == said
    seen = talk.gate.seen_by_the_model(talk.scripted)
    assert len(re.findall(r"\[EMAIL_\w+\]", seen)) == 1 and EMAIL not in seen and CARD not in seen
