"""What is asked of files. Needs no torch, so that a program which only compares files starts at once."""

import hashlib
from pathlib import Path


def sha256(path: Path) -> str:
    """SHA-256 of a file, as 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def regular(path: Path) -> Path:
    """``path``, if there is a file: opening a pipe would wait for ever.

    Raises:
        FileNotFoundError: nothing is there.
        ValueError: something else is.
    """
    path.stat()
    if not path.is_file():
        raise ValueError(f"{path}: no file")
    return path
