"""The group ``study``: the experiment over folds."""

from typing import Annotated

from pydantic import Field, model_validator

from pipeline.params.fields import Section


class StudyParams(Section):
    """How ``augmint study`` cross-validates the experiment; see :mod:`pipeline.study`."""

    folds: Annotated[int, Field(ge=2, le=50)] = 5
    repeats: Annotated[int, Field(ge=1, le=50)] = 1

    @model_validator(mode="after")
    def _enough(self) -> "StudyParams":
        if self.folds * self.repeats < 3:
            raise ValueError("two folds once tell no spread; raise folds or repeats")
        return self
