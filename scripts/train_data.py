"""Labelled texts, their groups of near-duplicates, and their segments."""

import collections
import json
import re
import subprocess
import zlib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import scipy.sparse

from scripts import train_extra

ATTACKS = [
    "cyberseceval_pi",
    "cyberseceval_pi_multilingual",
    "garak",
    "giskard",
    "gptfuzzer",
    "injecagent",
    "jailbreak_llms",
    "pallms",
]
# Texts that look like attacks or write about them.
HARD = [
    "agent_instruction_files",
    "awesome_prompts",
    "mitre_frr_benign",
    "mitre_frr_multilingual_benign",
    "roleplay_benign",
    "security_mentions",
]
ORDINARY = [
    "arena_hard",
    "benign_chat_mix",
    "benign_code",
    "benign_documents",
    "bfcl_agentic_benign",
    "mcp_scanner_tools",
    "presidio_synth_v2",
    "secret_hard_benign",
    "tau_users_json",
]
# Reported, never trained on as attacks: payloads are harmless requests in the
# first, and the second is there to test decoding. Their harmless rows count as
# any.
REPORTED = ["bipia", "obfuscated"]
# Sets of documents and of what tools return.
DOCUMENTS = {
    "agent_instruction_files",
    "benign_code",
    "benign_documents",
    "bipia",
    "secret_hard_benign",
    "tau_users_json",
}

# As `src/detect/classifier` has them.
BITS = 17
DAMPING = 8.0
# Marks in what `portcullisctl features` writes.
BLOCK = 0xFFFF_FFFF
VIEW = 0xFFFF_FFFD


@dataclass
class Rows:
    """Texts in a fixed order."""

    sets: np.ndarray
    labels: np.ndarray
    kinds: list[str]
    texts: list[str]
    groups: np.ndarray
    folds: np.ndarray
    keys: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.texts)


def load(folder: Path, folds: int) -> Rows:
    """All rows that are an attack or are not; others have no label for us."""
    found = []
    for name in sorted({*ATTACKS, *HARD, *ORDINARY, *REPORTED}):
        for line in (folder / f"{name}.jsonl").read_text().splitlines():
            row = json.loads(line)
            if row["label"] == "mcp_malicious_tool":
                continue
            row["set"] = name
            found.append(row)
    found += train_extra.rows()
    groups = group(found)
    keys = [f"{row['set']}/{row['id']}" for row in found]
    return Rows(
        sets=np.array([row["set"] for row in found]),
        labels=np.array([row["label"] in ("injection", "jailbreak") for row in found]),
        kinds=[kind(row) for row in found],
        texts=[row["text"] for row in found],
        groups=groups,
        folds=np.array([zlib.crc32(keys[g].encode()) % folds for g in groups]),
        keys=keys,
    )


def kind(row: dict) -> str:
    """The kind of span a text of this category arrives as."""
    category = row["category"] or ""
    if "tool_schema" in category or category.startswith("mcp"):
        return "tool.definition"
    if category.startswith("indirect") or row["set"] in DOCUMENTS:
        return "document"
    return "user"


def group(rows: list[dict]) -> np.ndarray:
    """Number of the first row of each row's group: groups as the sets give
    them, joined where rows without one share 70 % of their word sequences."""
    parent = list(range(len(rows)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    def join(a: int, b: int) -> None:
        a, b = sorted((root(a), root(b)))
        parent[b] = a

    first: dict[tuple[str, str], int] = {}
    for i, row in enumerate(rows):
        if row.get("group"):
            join(first.setdefault((row["set"], row["group"]), i), i)
    shingles = [shingle(row["text"]) for row in rows]
    where = collections.defaultdict(list)
    for i, own in enumerate(shingles):
        for one in own:
            where[one].append(i)
    shared = collections.Counter()
    for rows_with in where.values():
        if len(rows_with) <= 60:
            for k, a in enumerate(rows_with):
                shared.update((a, b) for b in rows_with[k + 1 :])
    for (a, b), count in shared.items():
        if count >= 0.7 * len(shingles[a] | shingles[b]) and not (rows[a].get("group") and rows[b].get("group")):
            join(a, b)
    return np.array([root(i) for i in range(len(rows))])


def shingle(text: str) -> set[tuple[str, ...]]:
    words = re.findall(r"\w+", text.lower())
    size = 3 if len(words) < 30 else 5
    return {tuple(words[i : i + size]) for i in range(max(1, len(words) - size + 1))}


def features(tool: Path, texts: list[str]) -> list[np.ndarray]:
    """Hashed features of each text, by the code that scores them."""
    lines = "\n".join(json.dumps(text) for text in texts)
    out = subprocess.run([tool, "features"], input=lines.encode(), stdout=subprocess.PIPE, check=True).stdout
    numbers = np.frombuffer(out, dtype="<u4")
    found, at = [], 0
    for _ in texts:
        count = int(numbers[at])
        found.append(numbers[at + 1 : at + 1 + count])
        at += 1 + count
    return found


@dataclass
class Segments:
    """One matrix row a segment."""

    matrix: scipy.sparse.csr_matrix
    owner: np.ndarray
    # Every second segment of a text: together they hold all of it once.
    apart: np.ndarray

    def best(self, weights: np.ndarray, rows: int) -> np.ndarray:
        """Score of each text: that of its best segment."""
        found = np.full(rows, -np.inf)
        np.maximum.at(found, self.owner, self.matrix @ weights[:-1] + weights[-1])
        return found


def segments(of_texts: list[np.ndarray]) -> Segments:
    columns, values, ends, owner, apart = [], [], [0], [], []
    for i, one in enumerate(of_texts):
        for view in parts(one, VIEW):
            for k, part in enumerate(windows(parts(view, BLOCK))):
                buckets, counts = np.unique(part >> (32 - BITS), return_counts=True)
                columns.append(buckets.astype(np.int32))
                values.append(counts / np.sqrt(len(part) + DAMPING))
                ends.append(ends[-1] + len(buckets))
                owner.append(i)
                apart.append(k % 2 == 0)
    matrix = scipy.sparse.csr_matrix(
        (np.concatenate(values), np.concatenate(columns), np.array(ends, dtype=np.int32)),
        shape=(len(owner), 1 << BITS),
    )
    return Segments(matrix, np.array(owner), np.array(apart))


def parts(numbers: np.ndarray, mark: int) -> list[np.ndarray]:
    """What stands before each mark."""
    return [part[part != mark] for part in np.split(numbers, np.flatnonzero(numbers == mark) + 1)[:-1]]


def windows(blocks: list[np.ndarray]) -> list[np.ndarray]:
    """Two blocks in a row each, as `segments.rs` makes them."""
    if len(blocks) < 2:
        return blocks or [np.zeros(0, dtype="<u4")]
    return [np.concatenate(pair) for pair in zip(blocks, blocks[1:])]
