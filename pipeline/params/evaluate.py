"""The group ``evaluate``: how the synthetic images are measured, and what they must score."""

from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from pipeline.gates import check_figure, check_gates, parse
from pipeline.params.fields import Count, Section, Steps

EmbedderName = Annotated[str, Field(pattern=r"^(domain|inception|torchvision:\w+)$")]


def _gate(text: Any) -> str:
    parse(str(text))
    return str(text)


class EvaluateParams(Section):
    """How the synthetic images are measured against real ones.

    Attributes:
        gates: figure to bound, in the grammar of :mod:`pipeline.gates`.
    """

    samples: Annotated[int, Field(ge=50, le=100_000)] = 1000
    repeats: Annotated[int, Field(ge=2, le=1000)] = 10
    neighbours: Count = 5
    embedder_steps: Steps = 300
    embedders: Annotated[tuple[EmbedderName, ...], Field(min_length=1)] = ("domain",)
    weights: dict[EmbedderName, Annotated[str, Field(min_length=1)]] = Field(default={})
    gates: Annotated[
        dict[Annotated[str, AfterValidator(check_figure)], Annotated[str, BeforeValidator(_gate)]],
        AfterValidator(check_gates),
    ] = Field(default={"copies": "<= 0.05", "coverage": ">= 0.3 floor", "label_agreement": ">= 0.5 floor"})

    @model_validator(mode="after")
    def _possible(self) -> "EvaluateParams":
        if "domain" not in self.embedders:
            raise ValueError("embedders must name domain: the figures of labels and copies come from it")
        return self
