"""User code as a ConfigMap keeps it: one compressed file, as file names may hold what a ConfigMap's keys may not.

Pure. Named by its content and immutable, so two revisions with the same code share one copy.
"""

from __future__ import annotations

import base64
import binascii
import gzip
import json

from remora_api import wire
from remora_api.target import code_bundle
from remora_operator.kinds import Manifest

FILE = "code.json.gz"


def packed(code: wire.CodeBundle) -> str:
    """Return the value for `binaryData`; the same for the same files."""
    return base64.b64encode(gzip.compress(json.dumps(code.files, sort_keys=True).encode(), mtime=0)).decode()


def unpacked(config_map: Manifest, digest: str) -> wire.CodeBundle | None:
    """Return the bundle that a ConfigMap holds; None when it is not what its name says."""
    text = (config_map.get("binaryData") or {}).get(FILE, "")
    try:
        bundle = code_bundle(json.loads(gzip.decompress(base64.b64decode(text))))
    except (ValueError, OSError, EOFError, binascii.Error):
        return None
    return bundle if bundle.digest == digest else None
