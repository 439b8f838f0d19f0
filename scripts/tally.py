#!/usr/bin/env python3
"""Sum the results in the logs of cargo test, wasm-bindgen-test, pytest and unittest.

tally.py LOG... prints why tests were skipped, then one line for all logs. A
log without a result is a suite that died, and counts as one failure; a log
that says `check: ok` or `check: failed` counts as one test.
"""

import re
import sys
from pathlib import Path

CARGO = re.compile(r"^test result: .*?(\d+) passed; (\d+) failed; (\d+) ignored", re.MULTILINE)
# A test of cargo's cannot say that it was skipped: ours print this line, and pass.
SKIPPED = re.compile(r"^SKIPPED \S+\.rs: ", re.MULTILINE)
PYTEST = re.compile(r"^=* ?((?:\d+ [a-z]+, )*\d+ [a-z]+) in [\d.]+s", re.MULTILINE)
PYTEST_WORDS = {"passed": 0, "xpassed": 1, "failed": 1, "error": 1, "errors": 1, "skipped": 2, "xfailed": 2}
UNITTEST = re.compile(r"^Ran (\d+) tests? in .*\n+(?:OK|FAILED)(?: \((.*)\))?$", re.MULTILINE)
UNITTEST_WORDS = {"failures": 1, "errors": 1, "skipped": 2, "unexpected successes": 1, "expected failures": 2}
CHECK = re.compile(r"^check: (ok|failed)$", re.MULTILINE)
# A suite that is killed or does not compile may leave results of a part.
DIED = re.compile(r"^(error: (?!test failed)|check: died)", re.MULTILINE)
REASON = re.compile(r"^(SKIPPED .*|XFAIL .*|test .* \.\.\. ignored.*|test_.* \.\.\. skipped.*)$", re.MULTILINE)


def count(text: str) -> list[int]:
    """Passed, failed and skipped tests of one log."""
    sums = [0, 0, 0]
    found = False
    for result in CARGO.finditer(text):
        sums = [a + int(b) for a, b in zip(sums, result.groups())]
        found = True
    skipped = len(SKIPPED.findall(text))
    sums = [sums[0] - skipped, sums[1], sums[2] + skipped]
    for result in PYTEST.finditer(text):
        for part in result[1].split(", "):
            number, word = part.split(" ")
            if word in PYTEST_WORDS:
                sums[PYTEST_WORDS[word]] += int(number)
                found = True
    for result in UNITTEST.finditer(text):
        parts = [part.split("=") for part in (result[2] or "").split(", ") if part]
        for word, number in parts:
            sums[UNITTEST_WORDS[word]] += int(number)
        sums[0] += int(result[1]) - sum(int(number) for _, number in parts)
        found = True
    for result in CHECK.finditer(text):
        sums[0 if result[1] == "ok" else 1] += 1
        found = True
    if DIED.search(text) and sums[1] == 0 or not found:
        sums[1] += 1
    return sums


def main() -> None:
    total = [0, 0, 0]
    for name in sys.argv[1:]:
        text = Path(name).read_text(errors="replace")
        for reason in REASON.findall(text):
            print(f"  skipped in {Path(name).stem}: {reason}")
        total = [a + b for a, b in zip(total, count(text))]
    print("{} passed, {} failed, {} skipped".format(*total))


if __name__ == "__main__":
    main()
