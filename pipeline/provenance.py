"""Who made this image, from what, with what seed: the synthetic-media mark in every synthetic image file, and hashes.

The mark is an XMP packet. ``Iptc4xmpExt:DigitalSourceType`` says to any reader that an algorithm made the image (IPTC
Photo Metadata Standard 2023.1); properties of our own say which image of which generator it is, so that it can be made
again.
"""

import hashlib
import json
import os
import subprocess
import warnings
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import IO, Any
from xml.sax.saxutils import quoteattr

from PIL import Image

from pipeline.errors import UserError
from pipeline.params import Params

SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
FORMATS = ("PNG", "JPEG", "WEBP")  # of the images in a set; Pillow's other readers are not let at it
SHALLOW = "unknown (shallow clone)"
GIT_ELSEWHERE = frozenset(("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_NAMESPACE"))

_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_IPTC = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
_XMP = "http://ns.adobe.com/xap/1.0/"
_OURS = "urn:augmint:xmp:1#"


@dataclass(frozen=True)
class Mark:
    """Which synthetic image this is: image ``index`` of class ``label`` drawn from ``generator`` with ``seed``.

    Attributes:
        generator: SHA-256 of the generator's weights, 64 hex digits.
        label: class name.
        index: number of the image within its class, 0 or more.
        seed, truncation: what :class:`gan.sampler.Sampler` was given.
    """

    generator: str
    label: str
    index: int
    seed: int
    truncation: float = 1.0

    def xmp(self) -> str:
        """The mark as an XMP packet."""
        truncation = "" if self.truncation == 1 else f' augmint:Truncation="{self.truncation}"'
        return (
            '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
            f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{_RDF}"><rdf:Description rdf:about=""'
            f' xmlns:Iptc4xmpExt="{_IPTC}" xmlns:xmp="{_XMP}" xmlns:augmint="{_OURS}"'
            f' Iptc4xmpExt:DigitalSourceType="{SOURCE_TYPE}" xmp:CreatorTool="augmint"'
            f" augmint:Generator={quoteattr(self.generator)} augmint:Class={quoteattr(self.label)}"
            f' augmint:Index="{self.index}" augmint:Seed="{self.seed}"{truncation}/>'
            '</rdf:RDF></x:xmpmeta><?xpacket end="r"?>'
        )


def read_mark(path: Path | IO[bytes]) -> Mark | None:
    """The mark in an image file (PNG, JPEG or WebP), or ``None`` when it holds none of ours.

    Raises:
        UserError: the file is not an image, or cannot be read.
    """
    try:
        with warnings.catch_warnings(action="ignore"), Image.open(path, formats=FORMATS) as image:
            packet = image.info.get("xmp")
    except Exception as error:  # Pillow's plugins raise whatever a damaged file leads them to
        raise UserError(f"{path}: not an image that can be read ({error})") from None
    return None if packet is None else _parse(packet)


def _parse(packet: bytes | str) -> Mark | None:
    """Reads attributes and child elements alike: other tools rewrite the one form into the other."""
    try:
        root = ElementTree.fromstring(packet)
        found: dict[str, str] = {}
        for description in root.iter(f"{{{_RDF}}}Description"):
            found.update(description.attrib)
            found.update({child.tag: child.text or "" for child in description})
        if found.get(f"{{{_IPTC}}}DigitalSourceType") != SOURCE_TYPE:
            return None
        ours = {name: found[f"{{{_OURS}}}{name}"] for name in ("Generator", "Class", "Index", "Seed")}
        truncation = float(found.get(f"{{{_OURS}}}Truncation", 1))
        return Mark(ours["Generator"], ours["Class"], int(ours["Index"]), int(ours["Seed"]), truncation)
    except (ElementTree.ParseError, LookupError, ValueError):
        return None


@cache
def version() -> str:
    """The version of augmint that is installed, or ``unknown`` in a checkout that is not."""
    try:
        return metadata.version("augmint")
    except metadata.PackageNotFoundError:
        return "unknown"


def params_hash(chosen: Mapping[str, Any]) -> str:
    """SHA-256, 64 hex digits, of the parameters that an exported set depends on: see :func:`set_params`.

    What else it depends on, the generator's hash names.
    """
    return hashlib.sha256(json.dumps(chosen, sort_keys=True).encode()).hexdigest()


def set_params(params: Params, counts: Mapping[str, int] | None = None) -> dict[str, Any]:
    """The parameters that an exported set depends on, ``seed`` and ``export``, for JSON.

    A truncation of 1 is left out: such a set is the same as one from before there was any.

    Args:
        counts: synthetic images by class, where they were asked for in the place of a balance.
    """
    chosen = params.model_dump(mode="json", include={"seed", "export"})
    if params.export.truncation == 1:
        del chosen["export"]["truncation"]
    if counts is None:
        return chosen
    kept = {name: value for name, value in chosen["export"].items() if name not in ("balance", "classes")}
    return chosen | {"export": kept | {"counts": dict(counts)}}


def revision(folder: Path) -> str | None:
    """The last Git commit that changed an input around ``folder``, and ``-dirty`` when a tracked one differs.

    What a run itself writes (``dvc.lock`` and ``metrics/``) is no input. The revision tells a reader where a set comes
    from. It is part of no output: another clone, or a commit that changes nothing, must give the same bytes.

    Returns:
        :data:`SHALLOW` where a clone's history ends before that commit; None outside a repository, before the first
        commit, or without Git.
    """
    inputs = ["--", ".", ":(exclude)dvc.lock", ":(exclude)metrics"]
    try:
        commit = _git(folder, "rev-list", "-1", "HEAD", *inputs)
        boundary = folder / _git(folder, "rev-parse", "--git-path", "shallow")
        if boundary.is_file() and commit in boundary.read_text(encoding="utf-8").split():
            return SHALLOW  # at its end, a shallow history takes every file for new
        changed = _git(folder, "status", "--porcelain", "--untracked-files=no", *inputs)
    except (OSError, ValueError, subprocess.CalledProcessError):
        return None
    return f"{commit}{'-dirty' if changed else ''}" if commit else None


def _git(folder: Path, *command: str) -> str:
    """What Git answers about the repository around ``folder``, whichever one a hook or a shell speaks of.

    It locks nothing, and fetches nothing that a partial clone lacks.
    """
    environment = {name: value for name, value in os.environ.items() if name not in GIT_ELSEWHERE}
    environment |= {"GIT_OPTIONAL_LOCKS": "0", "GIT_NO_LAZY_FETCH": "1", "LC_ALL": "C"}
    done = subprocess.run(["git", *command], cwd=folder, env=environment, capture_output=True, check=True)
    return os.fsdecode(done.stdout).strip()
