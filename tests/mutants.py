"""Breaks the filter on purpose, one line at a time, and sees that a test notices.

    ./build.sh mutants

Works in a copy of the last commit. First everything is whole and the tests must
pass; then each mutant must make its tests fail, and not its build."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / ".cache" / "mutants"
TRIPLE = "wasm32-wasip1"
# Compiled fast, not small: what is tested is what the code does.
QUICK = {
    "CARGO_PROFILE_RELEASE_LTO": "off",
    "CARGO_PROFILE_RELEASE_CODEGEN_UNITS": "16",
    "CARGO_PROFILE_RELEASE_OPT_LEVEL": "1",
}
SESSION = ("native", "session")


@dataclass
class Mutant:
    what: str
    file: str
    old: str
    new: str
    test: tuple[str, str]


MUTANTS = [
    Mutant(
        "found values stay in the body",
        "src/session/decoded.rs",
        "out.push(Edit { range:",
        "drop(Edit { range:",
        SESSION,
    ),
    Mutant(
        "a match in a stream is not replaced",
        "src/session/live.rs",
        "self.edits.push(Edit { range:",
        "drop(Edit { range:",
        SESSION,
    ),
    Mutant(
        "a call goes on whatever the approval service says",
        "src/session/consent.rs",
        "let passes = decision == Some(Decision::Allow)",
        "let passes = decision.is_some()",
        ("native", "approvals"),
    ),
    Mutant(
        "a stream does not wait for consent",
        "src/session/live.rs",
        "while self.barrier != Some(self.first) &&",
        "while",
        ("native", "approvals"),
    ),
    Mutant(
        "nobody is told that the approval service did not answer",
        "src/host/stream.rs",
        "unanswered = !callout::send",
        "let _ = callout::send",
        ("envoy", "test_approvals.py::test_a_service_that_is_down_and_one_that_nobody_knows"),
    ),
    Mutant(
        "request trailers go on unseen",
        "src/host/stream.rs",
        "self.run(Event::RequestEnd { body: &body }, started)\n    }\n\n    fn on_http_response_headers",
        "let _ = (body, started);\n        Action::Continue\n    }\n\n    fn on_http_response_headers",
        ("envoy", "test_requests.py::test_trailers_do_not_get_a_body_past"),
    ),
    Mutant(
        "a swap that another worker beat counts as done",
        "src/host/cells.rs",
        "Ok(false) => continue,",
        "Ok(false) => return applied.outcome,",
        ("envoy", "test_quota.py::test_no_request_is_lost_between_workers"),
    ),
    Mutant(
        "cells are written whatever others wrote",
        "src/host/cells.rs",
        "set_shared(key, &new, version)",
        "set_shared(key, &new, version * 0)",
        ("envoy", "test_quota.py::test_no_request_is_lost_between_workers"),
    ),
    Mutant(
        "a refusal of the rate limit filter counts as the model's answer",
        "src/host/stream.rs",
        "session.refused_behind(code);",
        "let _ = (session, code);",
        ("envoy", "test_global.py::test_two_envoys_share_a_budget"),
    ),
]


def run(command: list[str], cwd: Path, **environment: str) -> tuple[bool, str]:
    done = subprocess.run(
        command, cwd=cwd, env=os.environ | environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    return done.returncode == 0, done.stdout


def test(copy: Path, kind: str, name: str) -> tuple[bool, str]:
    """Whether the tests pass. A build that fails ends everything."""
    target = {"CARGO_TARGET_DIR": str(TARGET)}
    if kind == "native":
        build, text = run(["cargo", "test", "-q", "--no-run", "--test", name], copy, **target)
        command, environment = ["cargo", "test", "-q", "--test", name], target
    else:
        build, text = run(["cargo", "build", "-q", "--lib", "--release", "--target", TRIPLE], copy, **target, **QUICK)
        module = TARGET / TRIPLE / "release" / "portcullis.wasm"
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"tests/envoy/{name}"]
        environment = {"PORTCULLIS_WASM": str(module)}
    if not build:
        sys.exit(f"does not compile:\n{text[-3000:]}")
    return run(command, copy, **environment)


def main() -> int:
    folder = Path(tempfile.mkdtemp(prefix="portcullis-mutants-"))
    copy = folder / "copy"
    subprocess.run(["git", "worktree", "add", "-q", "--detach", str(copy), "HEAD"], cwd=ROOT, check=True)
    survivors = 0
    try:
        for kind, name in dict.fromkeys(mutant.test for mutant in MUTANTS):
            passes, text = test(copy, kind, name)
            if not passes:
                sys.exit(f"{name} fails without any mutant:\n{text[-3000:]}")
            print(f"whole    {name} passes", flush=True)
        for mutant in MUTANTS:
            file = copy / mutant.file
            source = file.read_text()
            if source.count(mutant.old) != 1:
                sys.exit(f"{mutant.file}: {source.count(mutant.old)} places for {mutant.what!r}, expected one")
            file.write_text(source.replace(mutant.old, mutant.new))
            passes, _ = test(copy, *mutant.test)
            file.write_text(source)
            survivors += passes
            print(f"{'SURVIVED' if passes else 'killed  '} {mutant.what} ({mutant.test[1]})", flush=True)
    finally:
        subprocess.run(["git", "worktree", "remove", "--force", str(copy)], cwd=ROOT, check=False)
        shutil.rmtree(folder, ignore_errors=True)
    print(f"{len(MUTANTS) - survivors} of {len(MUTANTS)} mutants killed")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
