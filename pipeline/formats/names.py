"""Class names as folder names that every common file system takes, and back."""

import unicodedata
from collections.abc import Sequence
from urllib.parse import unquote

from pipeline.errors import UserError

# What Windows forbids in names, the separators, and the percent sign that marks what we have replaced.
_FORBIDDEN = frozenset('<>:"/\\|?*%')
_DEVICES = frozenset({"con", "prn", "aux", "nul"} | {f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10)})
_MAX_BYTES = 255


def folder_names(classes: Sequence[str]) -> list[str]:
    """One folder name a class, the class name itself wherever that is safe.

    Else characters are percent-encoded: those that Windows or POSIX forbid, a dot or space at either end, the first
    letter of a device name such as ``con``, and the whole of a name that differs from an earlier one in case or Unicode
    form alone (macOS and Windows would take the two for one). :func:`class_name` reverses it.

    Raises:
        UserError: a name is empty, not valid Unicode, too long, or holds a control character.
    """
    taken: set[str] = set()
    folders = []
    for name in classes:
        _check(name)
        folder = _safe(name)
        if _folded(folder) in taken:
            folder = "".join(_percent(character) for character in name)
        if len(folder.encode()) > _MAX_BYTES:
            raise UserError(
                f"class {name[:40]!r}…: its folder name has over {_MAX_BYTES} bytes; give it a shorter name"
            )
        taken.add(_folded(folder))
        folders.append(folder)
    return folders


def class_name(folder: str) -> str:
    """The class whose folder is called ``folder``; reverses :func:`folder_names`."""
    return unquote(folder, errors="strict")


def _check(name: str) -> None:
    if not name:
        raise UserError("a class has an empty name; give it one in the source")
    bad = [
        character
        for character in name
        if unicodedata.category(character) in ("Cc", "Cs") or character in "\ufffe\uffff"
    ]
    if bad:
        raise UserError(f"class {name!r}: {bad[0]!r} can stand neither in a folder name nor in XML; rename the class")


def _safe(name: str) -> str:
    folder = "".join(_percent(character) if character in _FORBIDDEN else character for character in name)
    if folder[0] in ". " or folder.split(".")[0].rstrip().casefold() in _DEVICES:
        folder = _percent(folder[0]) + folder[1:]
    if folder[-1] in ". ":
        folder = folder[:-1] + _percent(folder[-1])
    return folder


def _percent(character: str) -> str:
    return "".join(f"%{byte:02X}" for byte in character.encode())


def _folded(folder: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", folder).casefold())
