"""Class names as folder names that every common file system takes, in the order of the labels, and back.

Whoever reads a folder a class, torchvision's ``ImageFolder`` and Hugging Face's ``imagefolder`` among them, numbers the
classes by their sorted folders. So the folders must sort as the labels count, whatever the classes are called.
"""

import re
import unicodedata
from collections.abc import Sequence
from urllib.parse import unquote

from pipeline.errors import UserError

# What Windows forbids in names, the separators, and the percent sign that marks what we have replaced.
_FORBIDDEN = frozenset('<>:"/\\|?*%')
_PORTS = "123456789\N{SUPERSCRIPT ONE}\N{SUPERSCRIPT TWO}\N{SUPERSCRIPT THREE}"
_DEVICES = frozenset({"con", "prn", "aux", "nul", "conin$", "conout$", *(f"com{n}" for n in _PORTS)}) | frozenset(
    f"lpt{n}" for n in _PORTS
)
_MAX_BYTES = 255
_NUMBER = re.compile("^[0-9]+__")
_BROKEN_END = re.compile("[. ]*(%[0-9A-F]?)?[. ]*$")


def folder_names(classes: Sequence[str]) -> list[str]:
    """One folder name a class, which sort as the classes are given: the class names themselves wherever that is safe.

    Else characters are percent-encoded: those that Windows or POSIX forbid, a dot or space at either end, the first
    letter of a device name such as ``con`` and of a name that ``datasets`` passes over (``__pycache__``), and the whole
    of a name that differs from an earlier one in case or Unicode form alone (macOS and Windows would take the two for
    one). Where the folders would then not sort as the labels count, or one would be too long, every one begins with
    its number: ``0__bolt``, ``1__con``, ``2__nut``. :func:`class_name` reverses it, but for the end of a name that had
    to be cut to 255 bytes.

    Raises:
        UserError: a name is empty, not valid Unicode, or holds a control character.
    """
    for name in classes:
        _check(name)
    plain = _plain(classes)
    fits = all(len(folder.encode()) <= _MAX_BYTES and not _NUMBER.match(folder) for folder in plain)
    return plain if fits and plain == sorted(plain) else _numbered(classes)


def class_name(folder: str) -> str:
    """The class whose folder is called ``folder``; reverses :func:`folder_names`."""
    return unquote(_NUMBER.sub("", folder))


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


def _plain(classes: Sequence[str]) -> list[str]:
    taken: set[str] = set()
    folders = []
    for name in classes:
        folder = _safe(name)
        if _folded(folder) in taken:
            folder = "".join(_percent(character) for character in name)
        taken.add(_folded(folder))
        folders.append(folder)
    return folders


def _numbered(classes: Sequence[str]) -> list[str]:
    width = len(str(len(classes) - 1))
    return [_cut(f"{label:0{width}d}__{_encoded(name)}") for label, name in enumerate(classes)]


def _cut(folder: str) -> str:
    """At most as many bytes as a file system takes, with no half character or escape, dot or space where it is cut."""
    if len(folder.encode()) <= _MAX_BYTES:
        return folder
    return _BROKEN_END.sub("", folder.encode()[:_MAX_BYTES].decode(errors="ignore"), count=1)


def _safe(name: str) -> str:
    folder = _encoded(name)
    device = folder.split(".")[0].rstrip().casefold() in _DEVICES
    return _percent(name[0]) + folder[1:] if device or folder[0] in ". " or folder.startswith("__") else folder


def _encoded(name: str) -> str:
    """Without what is forbidden in a name, or at its end."""
    folder = "".join(_percent(character) if character in _FORBIDDEN else character for character in name)
    return folder[:-1] + _percent(folder[-1]) if folder[-1] in ". " else folder


def _percent(character: str) -> str:
    return "".join(f"%{byte:02X}" for byte in character.encode())


def _folded(folder: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", folder).casefold())
