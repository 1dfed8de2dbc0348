"""``params.yaml`` as frozen typed models: the one place for defaults, bounds and messages."""

import difflib
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.error import MarkedYAMLError

from gan.config import Config
from pipeline.errors import UserError

Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]
Operation = Literal["translate", "scale", "rotate", "shear", "cutout", "brightness", "contrast"]
LOOP = {
    "minutes",
    "seeds",
    "rollbacks",
    "grid_kimg",
    "snapshot_kimg",
    "checkpoint_seconds",
}  # choices of the train stage, not of the GAN


class Section(BaseModel):
    """A group of ``params.yaml``: frozen, and without room for keys that nobody reads."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class LongTail(Section):
    """A geometric profile of class sizes in the train split, from the first class to the last."""

    head: Count = 110
    tail: Count = 4

    @model_validator(mode="after")
    def _falls(self) -> "LongTail":
        if self.tail > self.head:
            raise ValueError(f"tail ({self.tail}) must not be above head ({self.head})")
        return self


class DataParams(Section):
    """What ``ingest`` reads, and what it makes of it."""

    source: Literal["digits", "folder", "archive", "table", "torchvision"] = "digits"
    path: Annotated[str, Field(min_length=1)] = "data/digits.zip"
    dataset: str = ""
    download: bool = False
    image_size: Annotated[int, Field(ge=8, le=256)] = 8
    channels: Literal["auto", "L", "RGB"] = "auto"
    fit: Literal["crop", "pad", "stretch"] = "crop"
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
        if (self.source == "torchvision") != bool(self.dataset):
            raise ValueError("dataset names a torchvision class: give it with source: torchvision, and only there")
        if self.download and self.source != "torchvision":
            raise ValueError(f"download works with source: torchvision alone, not with {self.source}")
        return self


class TrainParams(Section):
    """The conditional GAN and its budget, ``kimg`` or ``minutes``. What else may be null is then as the recipe says.

    Attributes:
        augment: operations at full strength; ``auto`` chooses by the set's size, see :func:`gan.augment.choose`.
        seeds: generators, each from a seed of its own, that sampling draws from in turn.
        rollbacks: returns to the last good state, with lower learning rates, before a divergence ends the run.
    """

    recipe: Literal["wgan-gp", "wgan-lp", "wgan", "gan", "dcgan", "r3"] = "wgan-gp"
    kimg: Positive | None = 100.0
    minutes: Positive | None = None
    seeds: Annotated[int, Field(ge=1, le=16)] = 1
    batch_size: Annotated[int, Field(ge=2)] = 64
    loss: Literal["wasserstein", "logistic", "hinge", "least_squares", "relativistic"] | None = None
    n_critic: Count | None = None
    critic_lr: Positive | None = None
    generator_lr: Positive | None = None
    beta1: Annotated[float, Field(ge=0, lt=1)] | None = None
    beta2: Annotated[float, Field(ge=0, lt=1)] | None = None
    lr_warmup: NotNegative = 0.0
    lr_decay: Fraction = 0.3
    penalty: Literal["two_sided", "one_sided", "r1", "r2", "r1_r2", "none"] | None = None
    penalty_weight: NotNegative | None = None
    penalty_fraction: Annotated[float, Field(gt=0, le=1)] = 0.5
    penalty_every: Count | None = None
    drift_weight: NotNegative | None = None
    weight_clip: NotNegative | None = None
    packing: Annotated[int, Field(ge=1, le=8)] = 1
    minibatch_std: Annotated[int, Field(ge=0, le=64)] = 0
    family: Literal["resnet", "dcgan"] | None = None
    width: Annotated[int, Field(ge=4, le=512)] = 32
    latent_dim: Annotated[int, Field(ge=1, le=1024)] = 64
    ema_kimg: NotNegative = 5.0
    augment: tuple[Operation, ...] | Literal["auto"] = ("translate", "scale", "rotate", "shear")
    balance: Fraction = 0.5
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    compiled: Literal["auto"] | bool = "auto"
    rollbacks: Annotated[int, Field(ge=0, le=10)] = 3
    snapshot_kimg: Positive = 20.0
    grid_kimg: Positive = 20.0
    checkpoint_seconds: NotNegative = 20.0

    @property
    def config(self) -> Config:
        """The GAN's own configuration; what is ``auto`` is still to be settled by the device and the set."""
        fields = self.model_dump(exclude={"recipe", "device", "precision", "compiled", *LOOP})
        fields["kimg"] = math.inf if self.kimg is None else self.kimg
        fields["augment"] = () if self.augment == "auto" else self.augment
        return Config.of(self.recipe, **fields)

    @model_validator(mode="after")
    def _possible(self) -> "TrainParams":
        if (self.kimg is None) == (self.minutes is None):
            raise ValueError("give the budget as kimg or as minutes, and null for the other one")
        config = self.config
        if config.kimg * 1000 < config.images_per_iteration:
            raise ValueError(
                f"kimg ({self.kimg}) is less than one iteration of batch_size x n_critic = "
                f"{config.images_per_iteration} images; raise kimg"
            )
        return self


class EvaluateParams(Section):
    """How the synthetic images are measured against real ones."""

    samples: Annotated[int, Field(ge=50)] = 1000
    repeats: Annotated[int, Field(ge=2)] = 10
    neighbours: Count = 5
    embedder_steps: Count = 300


class ExportParams(Section):
    """Which synthetic set is written.

    Attributes:
        balance: how many synthetic images a class gets; see :func:`pipeline.stages.export.plan`. ``max`` fills it to
            the largest class, a whole number (500) to that many, a number with a point (2.0) makes that many for each
            real image.
        include_real: the train split's images are part of the set, marked as real in the manifest.
    """

    balance: Literal["max"] | Count | Annotated[float, Field(gt=0, le=100)] = "max"
    include_real: bool = False


class ClassifyParams(Section):
    """The experiment that gives the verdict."""

    seeds: Annotated[int, Field(ge=5)] = 6
    steps: Count = 200
    batch_size: Annotated[int, Field(ge=2)] = 64
    width: Annotated[int, Field(ge=4, le=512)] = 16
    lr: Positive = 2e-2
    weight_decay: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 5e-2
    synthetic_weight: Positive = 0.5
    min_effect: Annotated[float, Field(ge=0, lt=1)] = 0.0
    equivalence_margin: Annotated[float, Field(ge=0, lt=1)] = 0.01
    max_class_loss: Annotated[float, Field(ge=0, le=1)] = 0.05
    bootstrap: Annotated[int, Field(ge=200)] = 2000


class Params(Section):
    """All of ``params.yaml``. Every random draw comes from ``seed``."""

    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    data: DataParams = DataParams()
    train: TrainParams = TrainParams()
    evaluate: EvaluateParams = EvaluateParams()
    export: ExportParams = ExportParams()
    classify: ClassifyParams = ClassifyParams()


def load_params(path: Path) -> Params:
    """Reads and checks ``params.yaml``.

    Raises:
        UserError: no such file, not YAML, an unknown key (the nearest known one is named), a value out of bounds or
            an impossible combination; each with its line.
    """
    try:
        content = YAML(typ="rt").load(path.read_text())
    except FileNotFoundError:
        raise UserError(
            f"{path}: no such file; run augmint in the folder that holds params.yaml and dvc.yaml"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read ({error})") from None
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise UserError(f"{path}:{line}: not valid YAML: {error.problem}") from None
    if not isinstance(content, CommentedMap):
        raise UserError(f"{path}:1: expected groups such as `data:` and `train:` at the top level")
    try:
        return Params.model_validate(_plain(content))
    except ValidationError as error:
        problems = [f"{path}:{line}: {text}" for line, text in sorted(_problems(error, content))]
        raise UserError("\n".join(problems)) from None


def _plain(node: Any) -> Any:
    """The YAML tree in Python's own types: whole numbers may stand for floats, lists for tuples."""
    if isinstance(node, dict):
        return {str(key): _plain(value) for key, value in node.items()}
    if isinstance(node, list):
        return tuple(_plain(value) for value in node)
    if isinstance(node, bool) or node is None:
        return node
    for kind in (int, float, str):
        if isinstance(node, kind):
            return kind(node)
    return node


def _problems(error: ValidationError, content: CommentedMap) -> Iterator[tuple[int, str]]:
    seen: set[tuple[str, ...]] = set()
    for problem in error.errors():
        keys = _keys(problem["loc"], content)
        name = ".".join(keys) or "params"
        if problem["type"] == "extra_forbidden":
            yield _line(keys, content), f"{name}: unknown key{_nearest(keys)}"
        elif keys not in seen:  # a union reports each of its members; the first is enough
            seen.add(keys)
            message = problem["msg"].removeprefix("Value error, ")
            shown = "" if problem["type"] == "value_error" else f" (got {problem['input']!r})"
            yield _line(keys, content), f"{name}: {message[0].lower() + message[1:]}{shown}"


def _keys(location: tuple[int | str, ...], content: CommentedMap) -> tuple[str, ...]:
    """The part of a pydantic location that names keys of the file; union members and list indices fall off."""
    keys: list[str] = []
    node: Any = content
    for part in location:
        known = isinstance(node, dict) and part in node
        if not known:
            break
        keys.append(str(part))
        node = node[part]
    return tuple(keys)


def _line(keys: tuple[str, ...], content: CommentedMap) -> int:
    node, line = content, 1
    for key in keys:
        line = node.lc.key(key)[0] + 1
        node = node[key]
    return line


def _nearest(keys: tuple[str, ...]) -> str:
    section: type[BaseModel] = Params
    for key in keys[:-1]:
        annotation = section.model_fields[key].annotation
        section = next(
            t for t in (annotation, *get_args(annotation)) if isinstance(t, type) and issubclass(t, BaseModel)
        )
    known = sorted(section.model_fields)
    close = difflib.get_close_matches(keys[-1], known, n=1, cutoff=0.0)
    return f"; did you mean `{close[0]}`? (known here: {', '.join(known)})" if close else ""
