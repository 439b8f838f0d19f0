"""Programs of the benches in Node's V8, compiled as Envoy's V8 compiles the module."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TRIPLE = "wasm32-wasip1"
# Envoy's host turns the baseline compiler off (`liftoff = false` in proxy-wasm-cpp-host's
# v8.cc): code is optimised before it runs first. With it on, most of a short bench would
# time code that no worker of Envoy ever runs. What V8 still compiles in the background
# when a program ends can take Node 20 down with it (SIGSEGV), so nothing is compiled there.
NODE = ("node", "--no-warnings", "--single-threaded", "--no-liftoff", "--no-wasm-tier-up")


def build(program: str) -> Path:
    """The example of this name as a module."""
    subprocess.run(["cargo", "build", "--release", "--quiet", "--example", program, "--target", TRIPLE], cwd=ROOT, check=True)
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    return target / TRIPLE / "release" / "examples" / f"{program}.wasm"


def lines(module: Path, *arguments: str) -> list[str]:
    """What it prints, without the line of headings."""
    command = [*NODE, "tests/bench/wasi.mjs", str(module), *arguments]
    return subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()[1:]
