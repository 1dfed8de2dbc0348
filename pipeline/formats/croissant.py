"""``croissant.json``: the set for machines, in MLCommons' Croissant format 1.0 (Akhtar et al. 2024).

The manifest is one record set, and where Croissant can reach the images themselves (image folders of PNG or JPEG, and
parquet shards) they are another. No date stands in it: the same set is the same bytes whenever it is made.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gan.files import sha256
from pipeline.formats.encoding import Encoding
from pipeline.formats.manifest import MANIFEST, About
from pipeline.formats.shards import DATA, ENDINGS

CROISSANT = "croissant.json"
TYPES = {"png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp", "webp-lossless": "image/webp"}
SHARDS = {"webdataset": "application/x-tar", "parquet": "application/x-parquet"}
COLUMNS = {
    "file": ("sc:Text", "The file or shard that holds the image."),
    "name": ("sc:Text", "Unique in the set; in a shard it finds the image."),
    "sha256": ("sc:Text", "Of the encoded image."),
    "split": ("sc:Text", "train, val or test."),
    "label": ("sc:Text", "Name of the class."),
    "label_index": ("sc:Integer", "Number of the class."),
    "index": ("sc:Integer", "Number of the image within its class; of a real one, its row in its split."),
    "synthetic": ("sc:Boolean", "Made by the generator, or real."),
}
# as the specification gives it
TERMS = (
    "citeAs",
    "column",
    "dataBiases",
    "dataCollection",
    "equivalentProperty",
    "extract",
    "field",
    "fileProperty",
    "fileObject",
    "fileSet",
    "format",
    "includes",
    "isLiveDataset",
    "jsonPath",
    "key",
    "md5",
    "parentField",
    "path",
    "personalSensitiveInformation",
    "recordSet",
    "references",
    "regex",
    "repeated",
    "replace",
    "samplingRate",
    "separator",
    "source",
    "subField",
    "transform",
)
CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    **{term: f"cr:{term}" for term in TERMS},
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "rai": "http://mlcommons.org/croissant/RAI/",
    "sc": "https://schema.org/",
}


def render_croissant(folder: Path, about: About, images: int) -> dict[str, Any]:
    """The content of ``croissant.json`` for a set whose manifest is there.

    Args:
        folder: the set's.
        about: what is true of the whole set.
        images: how many there are.
    """
    files, image_records = _images(about.format, about.encoding)
    return {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": f"augmint-{about.generator[:12]}",
        "description": (
            f"{images:,} labelled images of {len(about.classes)} classes, {about.image_size}x{about.image_size}, with "
            "synthetic ones, which a conditional GAN made. Manifest and README.md tell which are."
        ),
        "license": about.licence,
        "version": "1.0.0",
        "isLiveDataset": False,
        "keywords": ["synthetic", "image classification"],
        "distribution": [
            {
                "@type": "cr:FileObject",
                "@id": MANIFEST,
                "contentUrl": MANIFEST,
                "encodingFormat": "application/x-parquet",
                "sha256": sha256(folder / MANIFEST),
            },
            files,
        ],
        "recordSet": [_record_set("manifest", _columns("manifest")), *image_records],
    }


def _images(name: str, encoding: Encoding) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The files that hold the images, and the records that Croissant can make of them."""
    if name in SHARDS:
        files = _file_set(f"{DATA}/*.{ENDINGS[name]}", SHARDS[name])
        if name == "webdataset":
            return files, []
        image = _source("fileSet", {"column": "image"}) | {"transform": {"jsonPath": "bytes"}}
        fields = [
            _field("images/image", "sc:ImageObject", image),
            _field("images/label_index", "sc:Integer", _source("fileSet", {"column": "label"})),
        ]
        return files, [_record_set("images", fields)]
    files = _file_set(f"images/**/*.{encoding.extension}", TYPES[encoding.name])
    if encoding.extension == "webp":  # which the reference reader cannot open
        return files, []
    # the expression, which keeps the whole, makes a text of the reader's path
    path = _source("fileSet", {"fileProperty": "fullpath"}) | {"transform": {"regex": "(.*)"}}
    join = {"references": _source("fileObject", {"column": "file"})}
    fields = [
        _field("images/image", "sc:ImageObject", _source("fileSet", {"fileProperty": "content"})),
        _field("images/file", "sc:Text", path) | join,
        *[field for field in _columns("images") if field["@id"] != "images/file"],
    ]
    return files, [_record_set("images", fields)]


def _file_set(includes: str, kind: str) -> dict[str, Any]:
    return {"@type": "cr:FileSet", "@id": "files", "includes": includes, "encodingFormat": kind}


def _record_set(name: str, fields: list[dict[str, Any]]) -> dict[str, Any]:
    return {"@type": "cr:RecordSet", "@id": name, "field": fields}


def _columns(record_set: str) -> list[dict[str, Any]]:
    return [
        _field(f"{record_set}/{column}", kind, _source("fileObject", {"column": column})) | {"description": text}
        for column, (kind, text) in COLUMNS.items()
    ]


def _field(name: str, kind: str, source: Mapping[str, Any]) -> dict[str, Any]:
    return {"@type": "cr:Field", "@id": name, "dataType": kind, "source": source}


def _source(kind: str, extract: dict[str, str]) -> dict[str, Any]:
    return {kind: {"@id": MANIFEST if kind == "fileObject" else "files"}, "extract": extract}
