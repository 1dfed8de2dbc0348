"""The group ``classify``: the experiment that gives the verdict."""

import re
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from pipeline.metric import split_metric
from pipeline.params.fields import BatchSize, Count, NotNegative, Positive, Section, Steps

Doses = Annotated[tuple[Annotated[float, Field(gt=0, le=10)], ...], Field(min_length=1, max_length=20)]
Tuning = Annotated[tuple[tuple[Positive, NotNegative], ...], Field(min_length=1, max_length=50)]


class ClassifyParams(Section):
    """The experiment that gives the verdict.

    Attributes:
        tuning: pairs of learning rate and weight decay that every arm is tried with.
        doses: of synthetic images; 1 is the exported set.
        draws: generator seeds; see :mod:`pipeline.experiment.pool`.
        classifier: ``small-resnet``, ``torchvision:<model>``, or ``module:factory`` of the user's own.
        metric: what the verdict is about, in the forms of :mod:`pipeline.experiment.endpoints`.
    """

    seeds: Annotated[int, Field(ge=5, le=100)] = 6
    draws: Annotated[int, Field(ge=1, le=100)] = 3
    doses: Doses = (0.25, 0.5, 1.0, 2.0, 3.0)
    tuning: Tuning = ((2e-2, 5e-2), (7e-3, 5e-2))
    tuning_seeds: Count = 2
    classifier: str = "small-resnet"
    weights: str = ""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    steps: Steps = 160
    batch_size: BatchSize = 64
    width: Annotated[int, Field(ge=4, le=512)] = 16
    synthetic_weight: Positive = 0.5
    synthetic_share: Annotated[float, Field(gt=0, le=4)] = 1.0
    synthetic_until: Annotated[float, Field(gt=0, le=1)] = 1.0
    pretrain: bool = False
    copies_share: Annotated[float, Field(ge=0, lt=1)] = 0.0
    force: bool = False
    metric: str = "balanced_accuracy"
    min_effect: Annotated[float, Field(ge=0, lt=1)] = 0.0
    equivalence_margin: Annotated[float, Field(ge=0, lt=1)] = 0.01
    max_class_loss: Annotated[float, Field(ge=0, le=1)] = 0.05
    bootstrap: Annotated[int, Field(ge=200, le=100_000)] = 2000

    @property
    def second_batch(self) -> int:
        """Synthetic images, or copies, of one optimiser step."""
        return max(2, round(self.synthetic_share * self.batch_size))

    @field_validator("classifier")
    @classmethod
    def _known(cls, classifier: str) -> str:
        if not re.fullmatch(r"small-resnet|torchvision:\w+|\w+(\.\w+)*:\w+", classifier):
            raise ValueError(f"{classifier!r} is none of small-resnet, torchvision:<model>, <module>:<factory>")
        return classifier

    @field_validator("metric")
    @classmethod
    def _measured(cls, metric: str) -> str:
        split_metric(metric)
        return metric

    @model_validator(mode="after")
    def _possible(self) -> "ClassifyParams":
        if self.tuning_seeds > self.seeds:
            raise ValueError(f"tuning_seeds ({self.tuning_seeds}) must not be above seeds ({self.seeds})")
        if self.pretrain and self.synthetic_until == 1:
            raise ValueError("pretrain needs steps on real images after it; lower synthetic_until below 1")
        if self.weights and not self.classifier.startswith("torchvision:"):
            raise ValueError(f"weights goes with classifier: torchvision:<model>, not with {self.classifier}")
        return self
