"""The page. All that comes from a request is text here, and shows as what it is."""

from __future__ import annotations

import hashlib
import html
import json
import re
import unicodedata

WHY = {
    "cost": ("cost", "Its estimated cost is over the limit"),
    "tool": ("tool", "It calls a tool that needs consent"),
    "anomaly": ("anomaly", "The caller behaves unlike before"),
}
WORDS = {"pending": "waiting", "allow": "allowed", "deny": "denied"}
ROOM = 20
RUNS = re.compile("[ -~]+|[^ -~]")
# Shown as nothing, or as a space, though they count as letters, symbols or
# marks: fillers, joiners, selectors of variants.
BLANK = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\U0001d159\U000e0100-\U000e01ef]")


def visible(text: object, lines: bool = False) -> str:
    """HTML of `text`. What would not show, or would turn the text round, is
    written out: an approver must see what he approves."""
    out = []
    # Marks belong on letters; on anything else they hide, or cross it out.
    letter = False
    # Plain text in one piece: arguments are long, and there are many.
    for char in RUNS.findall(str(text)):
        if char.isascii() and char.isprintable():
            out.append(html.escape(char))
            letter = char[-1].isalpha()
            continue
        kind = unicodedata.category(char)
        hidden = kind[0] in "CZ" and not (lines and char == "\n")
        hidden = hidden or BLANK.match(char) is not None or kind in ("Mn", "Me") and not letter
        letter = not hidden and (kind[0] == "L" or kind[0] == "M" and letter)
        out.append(f'<span class="odd">U+{ord(char):04X}</span>' if hidden else html.escape(char))
    return "".join(out)


def ago(then: float, now: float) -> str:
    seconds = max(0, int(now - then))
    for unit, length in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= length:
            count = seconds // length
            return f"{count} {unit}{'s' if count > 1 else ''} ago"
    return "just now"


def state(entries) -> str:
    """Changes whenever the page would."""
    told = sorted((key, entry.decision) for key, entry in entries)
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def row(name: str, value: str) -> str:
    return f"<dt>{name}</dt><dd>{value}</dd>" if value else ""


def dollars(question: dict) -> str:
    cost = question.get("estimated_cost_usd")
    return f"${cost:,.4f}" if isinstance(cost, (int, float)) and not isinstance(cost, bool) and cost else ""


def called(call: dict) -> str:
    shown = call.get("arguments")
    size = call.get("bytes")
    size = size if isinstance(size, int) else 0
    if isinstance(shown, str):
        body = f"<pre>{visible(shown, lines=True)}</pre>"
    elif size:
        body = f'<p class="quiet">{size:,} bytes of arguments, not shown</p>'
    else:
        body = ""
    return f'<li><code class="tool">{visible(call["name"])}</code>{body}</li>'


def facts(question: dict) -> str:
    names = " ".join(f"<code>{visible(g)}</code>" for g in question.get("groups", []))
    chain = " &rarr; ".join(f"<code>{visible(a)}</code>" for a in question.get("chain", []))
    model = question.get("model")
    api = " ".join(dict.fromkeys(visible(question[key]) for key in ("dialect", "operation") if question.get(key)))
    return "<dl>" + "".join(
        [
            row("Through", chain),
            row("Groups", names),
            row("Policy", visible(question.get("policy") or "")),
            row("Model", f"<code>{visible(model)}</code>" if model else ""),
            row("Server", visible(question.get("server") or "")),
            row("Sent to", visible(question.get("host") or "") + visible(question.get("path") or "")),
            row("Request", api),
            row("Estimated cost", dollars(question)),
        ]
    ) + "</dl>"


def badges(question: dict) -> str:
    found = (WHY.get(word, (word, "")) for word in question.get("why", []))
    return "".join(f'<span class="badge" title="{html.escape(title)}">{visible(word)}</span>' for word, title in found)


def card(key: str, entry, token: str, now: float) -> str:
    question = entry.question
    calls = "".join(called(call) for call in question.get("calls", []))
    times = f", asked {entry.asked} times" if entry.asked > 1 else ""
    stage = "an answer of the model waits" if question.get("stage") == "answer" else "nothing was sent yet"
    name = html.escape(key)
    return f"""<article class="card" id="r{name}" aria-labelledby="t{name}">
<header><h3 id="t{name}">{visible(question["subject"]) or "somebody unknown"}</h3>{badges(question)}
<p class="quiet">{ago(entry.first, now)}{times}; {stage}</p></header>
{f'<ul class="calls">{calls}</ul>' if calls else ""}
{facts(question)}
<p class="quiet id">{name}</p>
<form method="post" action="/decide">
<input type="hidden" name="id" value="{name}"><input type="hidden" name="token" value="{html.escape(token)}">
<label for="w{name}">Reason, for the caller and the record</label>
<input class="reason" id="w{name}" name="reason" maxlength="200" autocomplete="off">
<div class="buttons">
<button class="yes" name="decision" value="once">Allow once</button>
<button class="yes plain" name="decision" value="hour">Allow for an hour</button>
<button class="no" name="decision" value="deny">Deny</button>
</div></form></article>"""


def decided(key: str, entry, now: float) -> str:
    question = entry.question
    what = ", ".join(visible(call["name"]) for call in question.get("calls", [])) or visible(question.get("model") or "")
    how = "once" if entry.once else "for an hour" if entry.decision == "allow" else ""
    return (
        f'<tr id="d{html.escape(key.split(" ")[0])}"><td><span class="mark {entry.decision}">{WORDS[entry.decision]}</span> {how}</td>'
        f"<td>{visible(question['subject'])}</td><td>{what}</td><td>{dollars(question)}</td>"
        f"<td>{visible(entry.reason)}</td><td>{visible(entry.by)}, {ago(entry.decided, now)}</td><td>{entry.used}</td></tr>"
    )


def lost(key: str, entry, now: float) -> str:
    return f'<tr id="d{html.escape(key.split(" ")[0])}"><td colspan="7">A request that cannot be shown</td></tr>'


def unshown(key: str, entry, token: str, now: float) -> str:
    """In place of a card that cannot be made. What nobody sees can only be
    denied."""
    name = html.escape(key)
    return f"""<article class="card" id="r{name}"><h3>A request that cannot be shown</h3><p class="quiet id">{name}</p>
<form method="post" action="/decide">
<input type="hidden" name="id" value="{name}"><input type="hidden" name="token" value="{html.escape(token)}">
<div class="buttons"><button class="no" name="decision" value="deny">Deny</button></div></form></article>"""


def safely(make, instead, *what) -> str:
    """One entry must not take the page from all others."""
    try:
        return make(*what)
    except Exception:  # noqa: BLE001
        return instead(*what)


def frame(title: str, body: str) -> str:
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title><link rel="stylesheet" href="/style.css"><script src="/page.js" defer></script></head>
{body}</html>
"""


def note(title: str, text: str) -> str:
    return frame(title, f'<body><main><h1>{title}</h1><p>{text}</p><p><a href="/">Back to the requests</a></p></main></body>')


def render(entries, token, who: str, now: float) -> str:
    """The whole page; `token` makes one for a request's form."""
    waiting = sorted((item for item in entries if item[1].decision == "pending"), key=lambda item: item[1].first)
    over = sorted((item for item in entries if item[1].decision != "pending"), key=lambda item: -item[1].decided)
    cards = "".join(safely(card, unshown, key, entry, token(key), now) for key, entry in waiting)
    rows = "".join(safely(decided, lost, key, entry, now) for key, entry in over[:ROOM])
    head = "<tr><th>Decision</th><th>Subject</th><th>What</th><th>Cost</th><th>Reason</th><th>By</th><th>Used</th></tr>"
    table = f'<h2>Decided</h2><div class="wide"><table><thead>{head}</thead><tbody>{rows}</tbody></table></div>' if rows else ""
    count = f"{len(waiting)} waiting" if waiting else "nothing waits"
    return frame(
        f"({len(waiting)}) Approvals" if waiting else "Approvals",
        f"""<body data-state="{state(entries)}">
<p id="news" hidden role="status">Something has changed. <a href="/">Reload</a></p>
<main><header class="top"><h1>Approvals</h1><p class="quiet">{count}; you are {visible(who)}</p></header>
{cards or '<p class="empty">No call waits for consent.</p>'}
{table}</main></body>""",
    )
