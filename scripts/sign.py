#!/usr/bin/env python3
"""Print a token that the configurations of render.py take, to try them out.

An identity provider signs with a key of its own; `envoy.yaml` says where that one goes.
"""

import argparse
import base64
import hashlib
import hmac
import json
import time

from render import SAMPLE_KEY

ISSUER = "https://login.example.com/"


def base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def sign(subject: str, groups: list[str], key: bytes, seconds: int = 86400) -> str:
    """A JSON Web Token under HS256 (RFC 7515, RFC 7518 section 3.2)."""
    claims = {"iss": ISSUER, "sub": subject, "groups": groups, "exp": int(time.time()) + seconds}
    head, body = (base64url(json.dumps(part).encode()) for part in ({"alg": "HS256", "typ": "JWT"}, claims))
    signature = hmac.digest(key, f"{head}.{body}".encode(), hashlib.sha256)
    return f"{head}.{body}.{base64url(signature)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("subject", help="who calls: the claim `sub`")
    parser.add_argument("groups", nargs="*", help="the claim `groups`")
    parser.add_argument("--jwt-key", default=SAMPLE_KEY, help="as given to render.py, base64url")
    parser.add_argument("--seconds", type=int, default=86400, help="how long it is good for")
    args = parser.parse_args()
    key = base64.urlsafe_b64decode(args.jwt_key + "=" * (-len(args.jwt_key) % 4))
    print(sign(args.subject, args.groups, key, args.seconds))


if __name__ == "__main__":
    main()
