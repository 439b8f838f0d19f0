#!/usr/bin/env python3
"""Put the module into an OCI image layout: package.py MODULE DIST.

Istio's agent and Envoy Gateway take an image whose last layer is a gzip tar
with a file `plugin.wasm` in it ("compat" variant, solo-io/wasm spec-compat.md;
layout and media types: opencontainers/image-spec 1.1). The image's digest
depends on the module alone: times, owners and order are fixed, and gzip is
written with stored blocks, because the output of deflate differs between
versions of zlib.
"""

import gzip
import hashlib
import io
import json
import shutil
import struct
import sys
import tarfile
import tomllib
import zlib
from pathlib import Path

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
INDEX = "application/vnd.oci.image.index.v1+json"
EPOCH = "1970-01-01T00:00:00Z"
TAG = "portcullis"
STORED_MAX = 0xFFFF


def tar_of(module: bytes) -> bytes:
    entry = tarfile.TarInfo("plugin.wasm")
    entry.size, entry.mode, entry.mtime = len(module), 0o644, 0
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        archive.addfile(entry, io.BytesIO(module))
    return out.getvalue()


def gzip_stored(data: bytes) -> bytes:
    """`data` as one gzip member (RFC 1952) of stored blocks (RFC 1951, 3.2.4)."""
    out = [b"\x1f\x8b\x08\0\0\0\0\0\0\xff"]
    for at in range(0, len(data), STORED_MAX):
        block = data[at : at + STORED_MAX]
        last = at + STORED_MAX >= len(data)
        out.append(struct.pack("<BHH", last, len(block), len(block) ^ STORED_MAX) + block)
    out.append(struct.pack("<II", zlib.crc32(data), len(data) & 0xFFFFFFFF))
    return b"".join(out)


def compact(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


class Layout:
    """An image layout folder under construction."""

    def __init__(self, folder: Path):
        shutil.rmtree(folder, ignore_errors=True)
        self.folder, self.blobs = folder, folder / "blobs" / "sha256"
        self.blobs.mkdir(parents=True)

    def add(self, media_type: str, data: bytes) -> dict:
        """Store a blob; returns its descriptor."""
        digest = hashlib.sha256(data).hexdigest()
        (self.blobs / digest).write_bytes(data)
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(data)}

    def finish(self, manifest: dict) -> None:
        named = manifest | {"annotations": {"org.opencontainers.image.ref.name": TAG}}
        (self.folder / "oci-layout").write_bytes(compact({"imageLayoutVersion": "1.0.0"}))
        index = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [named]}
        (self.folder / "index.json").write_bytes(compact(index))


def write_image(module: bytes, version: str, folder: Path) -> str:
    """Write the layout; returns the digest that Istio and Gateway pin."""
    layout, tar = Layout(folder), tar_of(module)
    layer = layout.add(LAYER, gzip_stored(tar))
    config = {
        "architecture": "wasm",
        "os": "wasi",
        "created": EPOCH,
        "config": {},
        "history": [{"created": EPOCH, "created_by": "portcullis"}],
        "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(tar).hexdigest()]},
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": layout.add(CONFIG, compact(config)),
        "layers": [layer],
        "annotations": {
            "module.wasm.image/variant": "compat",
            "org.opencontainers.image.title": "portcullis",
            "org.opencontainers.image.version": version,
            "org.opencontainers.image.licenses": "Apache-2.0",
        },
    }
    descriptor = layout.add(MANIFEST, compact(manifest))
    layout.finish(descriptor)
    return descriptor["digest"]


def read_module(folder: Path) -> bytes:
    """The module out of a layout, by the steps of Istio's image fetcher; each
    blob is checked against its digest."""

    def blob(descriptor: dict) -> bytes:
        data = (folder / "blobs" / descriptor["digest"].replace(":", "/")).read_bytes()
        if "sha256:" + hashlib.sha256(data).hexdigest() != descriptor["digest"] or len(data) != descriptor["size"]:
            raise ValueError(f"blob {descriptor['digest']} is damaged")
        return data

    manifest = json.loads(blob(json.loads((folder / "index.json").read_text())["manifests"][0]))
    layer = manifest["layers"][-1]
    if layer["mediaType"] != LAYER:
        raise ValueError(f"the last layer is {layer['mediaType']}")
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(blob(layer)))) as archive:
        file = archive.extractfile("plugin.wasm")
        if file is None:
            raise ValueError("plugin.wasm is not a file")
        return file.read()


def main() -> int:
    module, dist = Path(sys.argv[1]).read_bytes(), Path(sys.argv[2])
    version = tomllib.loads(Path("Cargo.toml").read_text())["package"]["version"]
    digest = write_image(module, version, dist / "oci")
    if read_module(dist / "oci") != module:
        print("the layout does not give the module back", file=sys.stderr)
        return 1
    sums = f"{hashlib.sha256(module).hexdigest()}  portcullis.wasm\n"
    (dist / "portcullis.wasm").write_bytes(module)
    (dist / "SHA256SUMS").write_text(sums)
    (dist / "digest").write_text(digest + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
