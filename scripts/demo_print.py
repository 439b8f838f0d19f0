"""How the demo's steps look: at most 100 columns, colours only on a terminal."""

from __future__ import annotations

import os
import re
import sys
import textwrap

from demo_stage import Exchange

WIDTH = 100
LABEL = 9
INDENT = " " * (4 + LABEL)
MASK = re.compile(r"\[[A-Z][A-Z0-9-]*\]")
COLOURS = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}
VERDICTS = {"allow": "green", "redact": "cyan", "quarantine": "yellow", "deny": "red"}


def paint(text: str, *styles: str) -> str:
    if not sys.stdout.isatty() or os.environ.get("NO_COLOR"):
        return text
    return "".join(f"\033[{COLOURS[style]}m" for style in styles) + text + "\033[0m"


def say(text: str = "") -> None:
    try:
        print(text, flush=True)
    except BrokenPipeError:
        # Nobody reads on. What is in the buffer goes nowhere, and the exit of
        # the interpreter does not complain of it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)


def title(number: int, text: str, exchange: Exchange) -> None:
    """The step's heading: what it shows, what became of it, what that took."""
    decision = exchange.audit.get("decision", "none")
    verdict = f"{decision.upper():<10} {exchange.answer.status}"
    spent = f"{exchange.audit.get('added_us', 0):>6} µs"
    left = f"{number:>2}  {text}"
    gap = " " * max(1, WIDTH - len(left) - len(verdict) - len(spent))
    say()
    say(paint(left, "bold") + gap + paint(verdict, "bold", VERDICTS.get(decision, "yellow")) + spent)


def row(label: str, text: str) -> None:
    """A labelled line; long ones go on below their beginning."""
    lines = textwrap.wrap(text, WIDTH - len(INDENT), break_on_hyphens=False) or [""]
    for number, line in enumerate(lines):
        head = "    " + paint(f"{label:<{LABEL}}", "dim") if number == 0 else INDENT
        say(head + MASK.sub(lambda mask: paint(mask[0], "bold", "cyan"), line))


def table(label: str, rows: list[list[str]], widths: list[int]) -> None:
    for number, cells in enumerate(rows):
        head = "    " + paint(f"{label:<{LABEL}}", "dim") if number == 0 else INDENT
        # Padded before painted: codes have no width.
        line = "".join(f"{cell:<{width}}" for cell, width in zip(cells, widths)).rstrip()
        line = paint(line, "dim") if number == 0 else MASK.sub(lambda mask: paint(mask[0], "bold", "cyan"), line)
        say(head + line)


def audit(exchange: Exchange) -> None:
    """The main fields of the audit line, each in its place in every step."""
    record = exchange.audit
    usage = record.get("usage") or {}
    tokens = "none"
    if usage.get("source"):
        tokens = f"{usage['input']} in + {usage['output']} out, by {usage['source']}"
    fields = [("decision", record.get("decision", "none"), 11), ("coverage", record.get("coverage", "none"), 9)]
    text = "".join(f"{name} {value:<{width}}" for name, value, width in fields) + f"tokens {tokens}"
    say("    " + paint(f"{'audit':<{LABEL}}", "dim") + text)
    if reason := record.get("deny_reason"):
        say(f"{INDENT}reason   {reason}")
    if reason := record.get("would_deny"):
        say(f"{INDENT}would    deny for {reason}, only recorded")
    for finding in record.get("findings", []):
        recorded = "" if finding.get("enforced", True) or finding["action"] == "flag" else ", only recorded"
        say(f"{INDENT}finding  {finding['rule']} ×{finding['count']} in {finding['where']}: {finding['action']}{recorded}")
        if finding.get("transforms"):
            say(f"{INDENT}         seen through {', '.join(finding['transforms'])}")
    for quota in record.get("quota", []):
        left = quota["remaining"]
        over = ": over, only recorded" if quota.get("over") else ""
        held, charged = f"{quota['reserved']:,}", f"{quota['charged']:,}"
        say(f"{INDENT}quota    {quota['name']}: held {held}, charged {charged}, {left:,} left{over}")


def stream(label: str, sent: list[tuple[float, str]], got: list[tuple[float, str]]) -> None:
    """Two columns by time: what the model wrote, and what the client got."""
    moments = [(at, 0, text) for at, text in sent] + [(at, 1, text) for at, text in got]
    rows = [["at", "the model wrote", "the client got"]]
    for at, side, text in sorted(moments):
        cells = ["", "", ""]
        cells[0], cells[1 + side] = f"{at * 1000:4.0f} ms", quoted(text)
        rows.append(cells)
    table(label, rows, [10, 34, 40])


def quoted(text: str) -> str:
    return f'"{text}"'


def wrong(text: str) -> None:
    say("    " + paint(f"{'WRONG':<{LABEL}}{text}", "bold", "red"))


def raw(text: str) -> None:
    """A line of JSON as it stands in a file, cut behind commas to the width."""
    line = ""
    for part in re.split(r"(?<=,)", text):
        if line and len(line) + len(part) > WIDTH - 4:
            say("    " + paint(line, "dim"))
            line = ""
        line += part
    say("    " + paint(line, "dim"))
