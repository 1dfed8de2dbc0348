"""What the groups of ``params.yaml`` are made of: kinds of single values, names out of registries, and their base."""

import difflib
import pkgutil
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from pipeline.plain_yaml import shortened

Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0, le=1e6)]
NotNegative = Annotated[float, Field(ge=0, le=1e6)]
Count = Annotated[int, Field(ge=1, le=1000)]
Images = Annotated[int, Field(ge=1, le=1_000_000)]
Steps = Annotated[int, Field(ge=1, le=100_000)]
BatchSize = Annotated[int, Field(ge=2, le=4096)]


@dataclass(frozen=True)
class OneOf:
    """A name out of a registry, such as ``gan.losses:LOSSES``, or one of ``further``.

    The registry is looked up when it is asked for: what is registered later counts too, and these modules do not
    load torch.
    """

    registry: str
    further: tuple[str, ...] = ()

    @property
    def names(self) -> list[str]:
        """All that are known by now."""
        return [*self.further, *pkgutil.resolve_name(self.registry)]

    def __call__(self, name: Any) -> Any:
        """``name``, if it is known.

        Raises:
            ValueError: it is not; the nearest known name is told.
        """
        if name not in (known := self.names):
            near = difflib.get_close_matches(str(name), known, n=1, cutoff=0.0)
            raise ValueError(
                f"unknown name {shortened(repr(name))}; did you mean `{near[0]}`? (known here: {', '.join(known)})"
            )
        return name


def one_of(registry: str, *further: str) -> BeforeValidator:
    """A field's check against :class:`OneOf`."""
    return BeforeValidator(OneOf(registry, further))


class Section(BaseModel):
    """A group of ``params.yaml``: frozen, and without room for keys that nobody reads."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)
