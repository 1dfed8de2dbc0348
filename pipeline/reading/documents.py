"""JSON that a stage wrote: whole, plain, and of its model's form, or a sentence that says what to run."""

import json
import math
from pathlib import Path
from typing import Any, NoReturn

from pydantic import BaseModel, ConfigDict, ValidationError

from gan.files import regular
from pipeline.errors import UserError
from pipeline.escaping import terminal

MOST_BYTES = 2**27  # a matrix of 2,000 classes takes so much
MOST_DEEP = 32
MOST_NUMBER = 2**63  # of whole ones: other readers, such as Parquet's, do not follow further
LONGEST = 300  # characters of a fault: what is quoted may be as long as the file


class Document(BaseModel):
    """The base of every model: what it names must be there and of its type; what else is there is let be."""

    model_config = ConfigDict(strict=True, extra="allow", frozen=True)


def load(path: Path) -> Any:
    """The content of a JSON file, its strings encodable, its numbers finite.

    Raises:
        FileNotFoundError: nothing is there.
        OSError: it cannot be read.
        ValueError: it is no file, no JSON, or beyond what a stage writes.
    """
    size = regular(path).stat().st_size
    if size > MOST_BYTES:
        raise ValueError(f"{size:,} bytes, more than a stage ever writes")
    try:
        content = json.loads(path.read_bytes().decode("utf-8"), parse_constant=_refuse)
    except RecursionError:
        raise ValueError("nested too deeply") from None
    check_plain(content)
    return content


def read_document(path: Path, model: type[BaseModel], stage: str) -> dict[str, Any]:
    """The content of a JSON file, which fits ``model``.

    Args:
        stage: which writes the file, for the message.

    Raises:
        UserError: there is no such file, or it is not what the stage writes.
    """
    try:
        content = load(path)
        if not isinstance(content, dict):
            raise ValueError("no object with names and values")
        model.model_validate(content)
    except FileNotFoundError:
        raise UserError(f"{path}: not there; run `dvc repro {stage}` first") from None
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: not what {stage} writes ({fault(error)}); {again(stage)}") from None
    return content


def again(stage: str) -> str:
    """What to do about an output of ``stage`` that is damaged; DVC runs no other stage, such as a training, for it."""
    single = "" if stage == "ingest" else " --single-item"
    return f"run `dvc repro --force{single} {stage}`"


def fault(error: Exception) -> str:
    """What is wrong, in a line."""
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        text = ": ".join([".".join(map(str, first["loc"])), first["msg"]]) if first["loc"] else first["msg"]
    else:
        text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return terminal(text.partition("\n")[0][:LONGEST])


def check_plain(content: Any) -> None:
    """Whether parsed JSON can be written and shown again.

    Raises:
        ValueError: a string is no text, a number is beyond all bounds, or it is nested too deeply.
    """
    level = [content]
    for _ in range(MOST_DEEP):
        below: list[Any] = []
        for node in level:
            if isinstance(node, dict):
                below += [*node, *node.values()]
            elif isinstance(node, list):
                below += node
            elif isinstance(node, str):
                node.encode()  # half of a surrogate pair is a UnicodeEncodeError, which is a ValueError
            elif abs(node) >= MOST_NUMBER if isinstance(node, int) else isinstance(node, float) and math.isinf(node):
                raise ValueError(f"a number beyond all bounds: {str(node)[:12]}…")
        if not below:
            return
        level = below
    raise ValueError("nested too deeply")


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")
