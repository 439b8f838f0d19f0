#!/usr/bin/env python3
"""Print the version of one package in Cargo.lock: locked.py NAME."""

import re
import subprocess
import sys
from pathlib import Path


def main() -> int:
    lock = Path("Cargo.lock")
    if not lock.exists():
        subprocess.run(["cargo", "generate-lockfile", "--quiet"], check=True)
    name = re.escape(sys.argv[1])
    found = re.search(rf'^name = "{name}"\nversion = "([^"]+)"', lock.read_text(), re.MULTILINE)
    if not found:
        print(f"{sys.argv[1]} is not in Cargo.lock", file=sys.stderr)
        return 1
    print(found[1])
    return 0


if __name__ == "__main__":
    sys.exit(main())
