"""Plugin configurations that the suites share."""

from __future__ import annotations

import copy

AGENT = ("x-agent-id", "ann")
CARD = "4111 1111 1111 1111"
EMAIL = "jane.doe@example.com"


def plugin(**changes) -> dict:
    """A policy for everybody that blocks injections and masks personal data
    and credentials both ways. Keyword arguments replace whole sections, or,
    as `policy={...}`, fields of the one policy."""
    config = copy.deepcopy(
        {
            "version": 1,
            "identity": {"sources": [{"header": {"name": "x-agent-id", "groups": "x-agent-groups", "trusted": True}}]},
            "policies": [
                {
                    "name": "everybody",
                    "models": {"deny": ["*-uncensored"]},
                    "scan": {
                        "request": {"injection": "block", "pii": "redact", "secrets": "redact"},
                        "response": {"pii": "redact", "secrets": "redact", "exfiltration": "block"},
                    },
                }
            ],
        }
    )
    config["policies"][0] |= changes.pop("policy", {})
    return config | changes
