"""The group ``data``: what ``ingest`` reads, and what it makes of it."""

import math
import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator

from pipeline.params.fields import Fraction, Images, Section
from pipeline.remote.addresses import unkeyed

Grey = Annotated[float, Field(ge=-1e12, le=1e12)]
GreyRange = Literal["auto", "type"] | tuple[Grey, Grey]
NAMED_SETS = ("torchvision", "huggingface")  # sources that can fetch a set by its name
LABELLED_BY_COLUMN = ("table", "huggingface", "npz")  # sources whose labels stand in a column or an array


class LongTail(Section):
    """A geometric profile of class sizes in the train split, from the first class to the last."""

    head: Images = 110
    tail: Images = 4

    @model_validator(mode="after")
    def _falls(self) -> "LongTail":
        if self.tail > self.head:
            raise ValueError(f"tail ({self.tail}) must not be above head ({self.head})")
        return self


def _grey_range(value: Any) -> Any:
    if value in ("auto", "type"):
        return value
    numbers = value if isinstance(value, tuple | list) and len(value) == 2 else ()
    if not all(type(number) in (int, float) and math.isfinite(number) for number in numbers) or not numbers:
        raise ValueError(f"expected auto, type or two numbers [low, high], got {value!r}")
    if not numbers[0] < numbers[1]:
        raise ValueError(f"low must be below high, got {list(numbers)}")
    return tuple(map(float, numbers))


class DataParams(Section):
    """What ``ingest`` reads, and what it makes of it."""

    source: Literal["digits", "folder", "archive", "table", "npz", "huggingface", "torchvision"] = "digits"
    path: Annotated[str, Field(min_length=1), AfterValidator(unkeyed)] = "data/digits.zip"
    dataset: str = ""
    download: bool = False
    label_column: str = ""
    image_size: Annotated[int, Field(ge=8, le=512)] = 8
    channels: Literal["auto", "L", "RGB"] = "auto"
    fit: Literal["crop", "pad", "stretch"] = "crop"
    grey_range: Annotated[GreyRange, BeforeValidator(_grey_range)] = "auto"
    max_bad_fraction: Fraction = 0.02
    near_duplicate_bits: Annotated[int, Field(ge=0, le=16)] = 4
    group_pattern: str = ""
    val_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.2
    test_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.3
    long_tail: LongTail | None = None

    @field_validator("group_pattern")
    @classmethod
    def _compiles(cls, pattern: str) -> str:
        try:
            re.compile(pattern)
        except re.error as error:
            raise ValueError(f"not a regular expression: {error}") from None
        return pattern

    @model_validator(mode="after")
    def _possible(self) -> "DataParams":
        if self.val_fraction + self.test_fraction >= 1:
            raise ValueError(
                f"val_fraction ({self.val_fraction}) and test_fraction ({self.test_fraction}) leave nothing to "
                "train on; their sum must be below 1"
            )
        if self.source == "torchvision" and not self.dataset:
            raise ValueError("dataset names a torchvision class: give it with source: torchvision")
        if self.dataset and self.source not in NAMED_SETS:
            raise ValueError(f"dataset goes with source: {' or '.join(NAMED_SETS)}, not with {self.source}")
        if self.download and not self.dataset:
            raise ValueError(f"download fetches the set that dataset names, with source: {' or '.join(NAMED_SETS)}")
        if self.label_column and self.source not in LABELLED_BY_COLUMN:
            raise ValueError(
                f"label_column goes with source: {', '.join(LABELLED_BY_COLUMN)}, not with {self.source}, whose "
                "folders are the classes"
            )
        return self
