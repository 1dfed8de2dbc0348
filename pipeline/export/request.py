"""A set beside the project's own: chosen classes and numbers, written to another place, no output of DVC's."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from pipeline.errors import UserError
from pipeline.reading.documents import fault

Format = Literal["imagefolder", "webdataset", "parquet"]
Encoding = Literal["png", "jpeg", "webp", "webp-lossless"]


class Request(BaseModel):
    """What the set is to hold.

    Attributes:
        target: the folder to write; one that is there is replaced when the new set is whole.
        classes: which to make; with none here and in ``counts``, all.
        count: synthetic images of each of them.
        counts: other numbers for some classes, which are made too.
        format, encoding: as in params.yaml, which holds for all else.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    target: Path
    classes: tuple[str, ...] = ()
    count: int = Field(100, ge=1)
    counts: dict[str, Annotated[int, Field(ge=0)]] = Field({})
    format: Format = "imagefolder"
    encoding: Encoding = "png"

    @classmethod
    def load(cls, text: str) -> Self:
        """A request in JSON.

        Raises:
            UserError: it is none.
        """
        try:
            return cls.model_validate_json(text)
        except ValueError as error:
            raise UserError(f"export-set: no request that can be read ({fault(error)})") from None

    def wanted(self, known: Sequence[str]) -> dict[str, int]:
        """Synthetic images by class; classes that are not named get none.

        Args:
            known: the classes of the ingested set.
        """
        return dict.fromkeys(self.classes, self.count) | self.counts or dict.fromkeys(known, self.count)
