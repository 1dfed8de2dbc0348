"""The group ``export``: which synthetic set is written."""

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from pipeline.params.fields import Fraction, Section, Steps

Balance = Literal["auto", "max"] | Annotated[int, Field(ge=0, le=1_000_000)] | Annotated[float, Field(ge=0, le=100)]
Band = tuple[Fraction, Fraction]


class FilterParams(Section):
    """Which proposals are kept. Each filter can be off; see ``pipeline.export.filters``.

    Attributes:
        confidence: the least and the most probability that a classifier may give the class asked for; null is off.
        manifold: k: an image must lie within the distance to the k-th nearest neighbour of a train image of its class;
            0 is off.
        copies: an image must not be nearer to a train image than this quantile of train images are to each other;
            0 is off.
        critic: the share of each class that the critic scores lowest, which is dropped; 0 is off.
        steps: training of the classifier, whose features the manifold is measured in.
    """

    confidence: Band | None = None
    manifold: Annotated[int, Field(ge=0, le=1000)] = 0
    copies: Annotated[float, Field(ge=0, lt=1)] = 0.0
    critic: Annotated[float, Field(ge=0, lt=1)] = 0.0
    steps: Steps = 300

    @property
    def on(self) -> bool:
        """Whether any filter is on, so that the set is a selection of what was drawn."""
        return self.confidence is not None or bool(self.manifold or self.copies or self.critic)

    @field_validator("confidence")
    @classmethod
    def _rises(cls, band: Band | None) -> Band | None:
        if band is not None and band[0] >= band[1]:
            raise ValueError(f"the band's low end ({band[0]}) must be below its high end ({band[1]})")
        return band


class ExportParams(Section):
    """Which synthetic set is written.

    Attributes:
        balance: how many synthetic images a class gets; see :func:`pipeline.export.plan.wanted`. ``max`` fills it to
            the largest class, a whole number (500) to that many, a number with a point (2.0) makes that many for each
            real image. ``auto`` is ``max``, or 1.0 for a set that is balanced already.
        classes: the same for single classes, by name.
        include_real: which real images are part of the set, marked as real in the manifest.
        min_acceptance: a class of which the filters pass less than this share stops the stage.
        truncation: below 1 images are drawn nearer to the middle of their class; see :mod:`gan.truncation`.
        format: see :data:`pipeline.formats.FORMATS`.
        encoding, quality: see :class:`pipeline.formats.encoding.Encoding`.
        shard_images: images a shard of webdataset and parquet; some of them are in memory at once.
        licence: of the set, as its card and metadata state it.
        mark: each synthetic image file says that it is one.
        force: exports although a gate of ``evaluate.gates`` failed; the set says so.
    """

    balance: Balance = "auto"
    classes: dict[str, Balance] = Field(default={})
    include_real: Literal["none", "train", "all"] = "none"
    filters: FilterParams = FilterParams()
    min_acceptance: Annotated[float, Field(gt=0, le=1)] = 0.1
    truncation: Annotated[float, Field(gt=0, le=1)] = 1.0
    format: Literal["imagefolder", "webdataset", "parquet"] = "imagefolder"
    encoding: Literal["png", "jpeg", "webp", "webp-lossless"] = "png"
    quality: Annotated[int, Field(ge=1, le=100)] = 95
    shard_images: Annotated[int, Field(ge=1, le=100_000)] = 1000
    licence: Annotated[str, Field(pattern=r"^[A-Za-z0-9.+-]+$")] = "unknown"
    mark: bool = True
    force: bool = False

    @field_validator("include_real", mode="before")
    @classmethod
    def _yes_or_no(cls, value: Any) -> Any:
        return {True: "train", False: "none"}[value] if isinstance(value, bool) else value
