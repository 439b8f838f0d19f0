#!/usr/bin/env python3
"""Fill in envoy/envoy.yaml, or another template, and print it: a configuration that Envoy takes.

The plugin's configuration is set in as a string, because Envoy reads it from
no file. Every place in the template must have a value, and every value a place.
"""

import argparse
import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TEMPLATE = ROOT / "envoy" / "envoy.yaml"
PLACE = re.compile(r"\$\{([A-Z_]+)\}")
# Base64url without padding (RFC 7515); stands for a key known to everybody.
SAMPLE_KEY = "YSBrZXkga25vd24gdG8gZXZlcnlib2R5"


def render(plugin: str, *, template: Path = TEMPLATE, **values: object) -> str:
    """The template with its places filled in. `plugin` is the configuration of
    the filter, in JSON."""
    # A JSON string is a YAML double-quoted scalar too.
    values = {"PLUGIN_CONFIG": json.dumps(plugin), **values}
    # The comment at the top names the notation; comments have no places.
    lines = [line for line in template.read_text().splitlines(keepends=True) if not line.lstrip().startswith("#")]
    text = "".join(lines)
    wanted = set(PLACE.findall(text))
    if wanted != set(values):
        raise ValueError(f"places {sorted(wanted ^ set(values))} have no value, or values have no place")
    return PLACE.sub(lambda place: str(values[place[1]]), text)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--module", default="/etc/envoy/portcullis.wasm", help="the wasm module, as Envoy sees it")
    parser.add_argument("--config", type=Path, default=ROOT / "envoy/config/demo.json", help="the filter's configuration")
    parser.add_argument("--listener", type=int, default=10000, help="port for clients")
    parser.add_argument("--admin", type=int, default=9901, help="port of Envoy's admin interface")
    parser.add_argument("--models", type=int, nargs=3, default=[8001, 8002, 8003], metavar="PORT", help="primary, secondary, quarantine")
    parser.add_argument("--access-log", default="/dev/stdout", help="where audit lines go")
    parser.add_argument("--jwt-key", default=SAMPLE_KEY, help="key of the tokens, base64url")
    parser.add_argument("--template", type=Path, default=TEMPLATE, help="what to fill in")
    parser.add_argument("--rate-limit", type=int, default=8081, metavar="PORT", help="the rate limit service (envoy/gateway)")
    parser.add_argument("--fail-open", action="store_true", help="pass what the rate limit service does not answer (envoy/gateway)")
    parser.add_argument("--approvals", type=int, default=8090, metavar="PORT", help="the approval service (envoy/approvals)")
    args = parser.parse_args()
    primary, secondary, quarantine = args.models
    every = {
        "MODULE": args.module,
        "LISTENER_PORT": args.listener,
        "ADMIN_PORT": args.admin,
        "PRIMARY_PORT": primary,
        "SECONDARY_PORT": secondary,
        "QUARANTINE_PORT": quarantine,
        "RATE_LIMIT_PORT": args.rate_limit,
        "FAILURE_MODE_DENY": str(not args.fail_open).lower(),
        "APPROVALS_PORT": args.approvals,
        "ACCESS_LOG": args.access_log,
        "JWT_KEY": args.jwt_key,
    }
    try:
        plugin = read(args.config)
        wanted = set(PLACE.findall(read(args.template)))
        values = {name: value for name, value in every.items() if name in wanted}
        text = render(plugin, template=args.template, **values)
    except ValueError as fault:
        print(f"render.py: {fault}", file=sys.stderr)
        return 2
    if args.jwt_key == SAMPLE_KEY:
        print("render.py: warning: the key of tokens is the sample, which everybody knows; give --jwt-key", file=sys.stderr)
    sys.stdout.write(text)
    return 0


def read(path: Path) -> str:
    """The text of a file; what is wrong with one that has none names it."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError as fault:
        raise ValueError(f"{path}: {fault.strerror}") from fault
    except UnicodeDecodeError as fault:
        raise ValueError(f"{path}: is not UTF-8") from fault


if __name__ == "__main__":
    sys.exit(main())
