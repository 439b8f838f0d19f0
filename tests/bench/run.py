"""Every bench, or those named: `./build.sh bench [--quick] [attacks] [latency] [phases] [stream]`."""

from __future__ import annotations

import argparse
import os
import platform
import sys
import time

import attacks
import latency
import phases
import stream

BENCHES = {"attacks": attacks, "latency": latency, "phases": phases, "stream": stream}


def main() -> int:
    parser = argparse.ArgumentParser(prog="./build.sh bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the rounds: to see that it works")
    parser.add_argument("bench", nargs="*", help=f"{', '.join(BENCHES)}; all of them by default")
    chosen = parser.parse_args()
    unknown = set(chosen.bench) - set(BENCHES)
    if unknown:
        parser.error(f"no such bench: {', '.join(sorted(unknown))}")
    load = ", ".join(f"{x:.2f}" for x in os.getloadavg())
    print(f"{os.cpu_count()} cores, {platform.machine()}, load averages {load} at the start", flush=True)
    for name in chosen.bench or BENCHES:
        bench = BENCHES[name]
        began = time.monotonic()
        print(f"\n{name}: {' '.join((bench.__doc__ or '').split())}\n", flush=True)
        print(bench.table(bench.run(chosen.quick)))
        print(f"\n{time.monotonic() - began:.0f} s", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
