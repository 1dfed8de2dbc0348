"""What resumable work belongs to: one key out of everything that its result depends on.

Work of another key is never taken up: after an edit, an upgrade of torch or of augmint, or on another kind of device,
it begins anew.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

import torch

from gan.files import sha256
from pipeline.provenance import version
from pipeline.store import set_files


def key(**parts: Any) -> str:
    """64 hex digits that name ``parts``, which JSON can hold, and the versions of what computes.

    >>> key(seed=0) == key(seed=0) != key(seed=1)
    True
    """
    text = json.dumps(parts | {"augmint": version(), "torch": torch.__version__}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of the files in a store or below a folder of models that results depend on, by name.

    Empty for a folder that is not there.
    """
    files = [file for file in set_files(folder) if file.is_file()]
    files += sorted(folder.rglob("*.safetensors"))
    return {file.relative_to(folder).as_posix(): sha256(file) for file in files}
