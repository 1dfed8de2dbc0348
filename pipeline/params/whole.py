"""All groups together."""

from typing import Annotated

from pydantic import Field, model_validator

from pipeline.params.classify import ClassifyParams
from pipeline.params.data import DataParams
from pipeline.params.evaluate import EvaluateParams
from pipeline.params.export import ExportParams
from pipeline.params.fields import Section
from pipeline.params.study import StudyParams
from pipeline.params.train import TrainParams
from pipeline.params.workers import WorkersParams


class Params(Section):
    """All of ``params.yaml``. Every random draw comes from ``seed``."""

    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    data: DataParams = DataParams()
    train: TrainParams = Field(default_factory=TrainParams)  # made when asked for, because its check loads torch
    evaluate: EvaluateParams = EvaluateParams()
    export: ExportParams = ExportParams()
    classify: ClassifyParams = ClassifyParams()
    study: StudyParams = StudyParams()
    workers: WorkersParams = WorkersParams()

    @model_validator(mode="after")
    def _some_level_is_labelled(self) -> "Params":
        if self.train.unlabelled_below:
            from gan.networks.shape import levels_without_label

            try:
                levels_without_label(self.data.image_size, self.train.unlabelled_below)
            except ValueError as error:
                raise ValueError(f"train.unlabelled_below: {error}") from None  # with its key, for its line
        return self
