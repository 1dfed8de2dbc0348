"""``params.yaml`` as frozen typed models: the one place for defaults, bounds and messages."""

import difflib
import math
import pkgutil
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)
from ruamel.yaml.comments import CommentedMap

from gan.config import LABEL_FADE, Config
from pipeline.errors import UserError
from pipeline.gates import check_figure, check_gates, parse
from pipeline.metric import split_metric
from pipeline.plain_yaml import read_mapping, shortened
from pipeline.remote.addresses import unkeyed

Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0, le=1e6)]
NotNegative = Annotated[float, Field(ge=0, le=1e6)]
Count = Annotated[int, Field(ge=1, le=1000)]
Images = Annotated[int, Field(ge=1, le=1_000_000)]
Steps = Annotated[int, Field(ge=1, le=100_000)]
BatchSize = Annotated[int, Field(ge=2, le=4096)]
Interval = Annotated[float, Field(ge=0.001, le=1e6)]  # kimg; the least is an image
Grey = Annotated[float, Field(ge=-1e12, le=1e12)]
GreyRange = Literal["auto", "type"] | tuple[Grey, Grey]
MOST_PROBLEMS = 20  # of one file that are told at once
NAMED_SETS = ("torchvision", "huggingface")  # sources that can fetch a set by its name
LABELLED_BY_COLUMN = ("table", "huggingface", "npz")  # sources whose labels stand in a column or an array


@dataclass(frozen=True)
class OneOf:
    """A name out of a registry, such as ``gan.losses:LOSSES``, or one of ``further``.

    The registry is looked up when it is asked for: what is registered later counts too, and this module does not
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


def _one_of(registry: str, *further: str) -> BeforeValidator:
    return BeforeValidator(OneOf(registry, further))


Operation = Annotated[str, _one_of("gan.augment:OPERATIONS")]
EmbedderName = Annotated[str, Field(pattern=r"^(domain|inception|torchvision:\w+)$")]
_GAN = Config(kimg=100.0)  # whose defaults are those of the keys that it has too
# choices of the train stage, not of the GAN
LOOP = {
    *("minutes", "seeds", "init_from", "launcher", "processes", "rollbacks"),
    *("grid_kimg", "snapshot_kimg", "checkpoint_seconds"),
}


class Section(BaseModel):
    """A group of ``params.yaml``: frozen, and without room for keys that nobody reads."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


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


class TrainParams(Section):
    """The conditional GAN and its budget, ``kimg`` or ``minutes``.

    What else may be null, or is not named in the file, is as the recipe says, else the family, else the default here.

    Attributes:
        augment: operations at full strength; ``auto`` chooses by the set's size, see :func:`gan.augment.choose`.
        mirror: see :data:`gan.symmetry.SYMMETRIES`.
        seeds: generators, each from a seed of its own, that sampling draws from in turn.
        launcher, processes: of how many processes share each batch, and what starts them.
        init_from: folder of models to go on from, see :mod:`pipeline.training.origin`; empty for fresh ones.
        rollbacks: returns to the last good state, with lower learning rates, before a divergence ends the run.
    """

    recipe: Annotated[str, _one_of("gan.recipes:RECIPES", "auto")] = "wgan-gp"
    kimg: Positive | None = _GAN.kimg
    minutes: Positive | None = None
    seeds: Annotated[int, Field(ge=1, le=16)] = 1
    init_from: str = ""
    batch_size: BatchSize = _GAN.batch_size
    loss: Annotated[str, _one_of("gan.losses:LOSSES")] | None = None
    n_critic: Count | None = None
    critic_lr: Positive | None = None
    generator_lr: Positive | None = None
    beta1: Annotated[float, Field(ge=0, lt=1)] | None = None
    beta2: Annotated[float, Field(ge=0, lt=1)] | None = None
    lr_warmup: NotNegative = _GAN.lr_warmup
    burn_in: Fraction | None = None
    lr_end: Positive | None = None
    penalty_end: NotNegative | None = None
    beta2_end: Annotated[float, Field(ge=0, lt=1)] | None = None
    ema_start: Fraction | None = None
    augment_start: Fraction | None = None
    label_delay: Annotated[float, Field(ge=0, le=1 - LABEL_FADE)] = _GAN.label_delay
    lr_decay: Fraction = _GAN.lr_decay
    penalty: Annotated[str, _one_of("gan.penalties:PENALTIES")] | None = None
    penalty_weight: NotNegative | None = None
    penalty_fraction: Annotated[float, Field(gt=0, le=1)] = _GAN.penalty_fraction
    penalty_every: Count | None = None
    drift_weight: NotNegative | None = None
    lecam: NotNegative = _GAN.lecam
    spectral_weight: NotNegative = _GAN.spectral_weight
    feature_matching: NotNegative = _GAN.feature_matching
    historical_averaging: NotNegative = _GAN.historical_averaging
    label_smoothing: Annotated[float, Field(ge=0, lt=0.5)] = _GAN.label_smoothing
    weight_clip: NotNegative | None = None
    packing: Annotated[int, Field(ge=1, le=8)] = _GAN.packing
    minibatch_std: Annotated[int, Field(ge=0, le=64)] | None = None
    minibatch_discrimination: Annotated[int, Field(ge=0, le=64)] = _GAN.minibatch_discrimination
    unlabelled_below: Annotated[int, Field(ge=0, le=512)] = _GAN.unlabelled_below
    unlabelled_weight: NotNegative = _GAN.unlabelled_weight
    latent_prior: Literal["normal", "class"] = "normal"
    style: Literal["demodulation", "adain"] = "demodulation"
    family: Annotated[str, _one_of("gan.networks:FAMILIES", "auto")] | None = None
    width: Annotated[int, Field(ge=4, le=512)] = _GAN.width
    latent_dim: Annotated[int, Field(ge=1, le=1024)] = _GAN.latent_dim
    ema_kimg: NotNegative = _GAN.ema_kimg
    augment: tuple[Operation, ...] | Literal["auto"] = _GAN.augment
    mirror: Literal["none", "horizontal", "dihedral"] = "none"
    balance: Fraction = _GAN.balance
    precision: Annotated[str, _one_of("gan.objective:PRECISIONS", "auto")] = "auto"
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    compiled: Literal["auto"] | bool = "auto"
    launcher: Literal["none", "torchrun"] = "none"
    processes: Annotated[int, Field(ge=1, le=4096)] = 1
    rollbacks: Annotated[int, Field(ge=0, le=10)] = 3
    snapshot_kimg: Interval = 20.0
    grid_kimg: Interval = 20.0
    checkpoint_seconds: NotNegative = 20.0

    @property
    def config(self) -> Config:
        """The GAN's own configuration; what is ``auto`` is still to be settled by the device and the set.

        Until then ``auto`` counts as the default in a recipe's place, and as null in a family's; see
        :mod:`pipeline.training.automatic`.
        """
        chosen = self.model_dump(exclude_unset=True, exclude={"recipe", "device", "precision", "compiled", *LOOP})
        chosen["kimg"] = math.inf if self.kimg is None else self.kimg
        if self.augment == "auto":
            chosen["augment"] = ()
        if self.family == "auto":
            chosen["family"] = None
        return Config.of("wgan-gp" if self.recipe == "auto" else self.recipe, **chosen)

    @field_validator("augment", mode="before")
    @classmethod
    def _listed(cls, value: Any) -> Any:
        if isinstance(value, str) and value != "auto":
            raise ValueError(f"give auto or a list, such as [{value}]; got {value!r}")
        return value

    @model_validator(mode="after")
    def _possible(self) -> "TrainParams":
        if (self.kimg is None) == (self.minutes is None):
            raise ValueError("give the budget as kimg or as minutes, and null for the other one")
        if self.processes > 1 and self.launcher == "none":
            raise ValueError(
                f"processes ({self.processes}) share a batch under a launcher alone; give launcher: torchrun"
            )
        config = self.config
        if config.kimg * 1000 < config.images_per_iteration:
            raise ValueError(
                f"kimg ({self.kimg}) is less than one iteration of batch_size x n_critic = "
                f"{config.images_per_iteration} images; raise kimg"
            )
        return self


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
    weights: dict[EmbedderName, Annotated[str, Field(min_length=1)]] = {}
    gates: Annotated[
        dict[Annotated[str, AfterValidator(check_figure)], Annotated[str, BeforeValidator(_gate)]],
        AfterValidator(check_gates),
    ] = {"copies": "<= 0.05", "coverage": ">= 0.3 floor", "label_agreement": ">= 0.5 floor"}

    @model_validator(mode="after")
    def _possible(self) -> "EvaluateParams":
        if "domain" not in self.embedders:
            raise ValueError("embedders must name domain: the figures of labels and copies come from it")
        return self


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
    classes: dict[str, Balance] = {}
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


class StudyParams(Section):
    """How ``augmint study`` cross-validates the experiment; see :mod:`pipeline.study`."""

    folds: Annotated[int, Field(ge=2, le=50)] = 5
    repeats: Annotated[int, Field(ge=1, le=50)] = 1

    @model_validator(mode="after")
    def _enough(self) -> "StudyParams":
        if self.folds * self.repeats < 3:
            raise ValueError("two folds once tell no spread; raise folds or repeats")
        return self


class WorkersParams(Section):
    """Who does what can be shared out; no output depends on it. See :mod:`pipeline.workers`.

    Attributes:
        engine: processes of this machine, or a cluster's.
        count: workers at most; ``None`` for the usable cores, or for all of a cluster.
        address: of the cluster; ``None`` starts one on this machine for the time of a stage.
    """

    engine: Literal["local", "dask", "ray"] = "local"
    count: Annotated[int, Field(ge=1, le=100_000)] | None = None
    address: Annotated[str, Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _of_a_cluster(self) -> "WorkersParams":
        if self.address and self.engine == "local":
            raise ValueError("address is that of a cluster; set engine to dask or ray, or address to null")
        return self


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


def load_params(path: Path) -> Params:
    """Reads and checks ``params.yaml``.

    >>> import tempfile
    >>> file = Path(tempfile.mkdtemp()) / "params.yaml"
    >>> _ = file.write_text("train: {kimg: 20}")
    >>> load_params(file).train.kimg
    20.0

    Raises:
        UserError: no such file, not YAML, an unknown key (the nearest known one is named), a value out of bounds or
            an impossible combination; each with its line.
    """
    try:
        content = read_mapping(path)
    except FileNotFoundError:
        raise UserError(
            f"{path}: no such file; run augmint in the folder that holds params.yaml and dvc.yaml"
        ) from None
    try:
        return Params.model_validate(_plain(content))
    except ValidationError as error:
        problems = [f"{path}:{line}: {text}" for line, text in sorted(_problems(error, content))]
        more = error.error_count() - MOST_PROBLEMS
        raise UserError("\n".join([*problems, *([f"{path}: and {more} more"] if more > 0 else [])])) from None


def locate(path: Path, *keys: str) -> str:
    """``params.yaml:12``, the line of one key: for values that only a stage can judge. Needs a valid file."""
    return f"{path}:{_line(keys, read_mapping(path))}"


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
    return str(getattr(node, "value", node))  # a date


def _problems(error: ValidationError, content: CommentedMap) -> Iterator[tuple[int, str]]:
    seen: set[tuple[str, ...]] = set()
    for problem in error.errors()[:MOST_PROBLEMS]:
        keys = _keys(problem["loc"], content) or _named(problem["msg"], content)
        name = ".".join(keys) or "params"
        if problem["type"] == "extra_forbidden":
            yield _line(keys, content), f"{name}: unknown key{_nearest(keys)}"
        elif keys not in seen:  # a union reports each of its members; the first is enough
            seen.add(keys)
            message = problem["msg"].removeprefix("Value error, ").removeprefix(f"{name}: ")
            shown = "" if problem["type"] == "value_error" else f" (got {shortened(repr(problem['input']))})"
            yield _line(keys, content), f"{name}: {message[0].lower() + message[1:]}{shown}"


def _keys(location: tuple[int | str, ...], content: CommentedMap) -> tuple[str, ...]:
    """The part of a pydantic location that names keys of the file; union members and list indices fall off."""
    keys: list[str] = []
    node: Any = content
    for part in location:
        key = _as_written(node, str(part))
        if key is None:
            break
        keys.append(str(part))
        node = node[key]
    return tuple(keys)


def _named(message: str, content: CommentedMap) -> tuple[str, ...]:
    """The key that a message on several groups begins with, as in ``train.unlabelled_below: ...``, if it is there."""
    return _keys(tuple(message.removeprefix("Value error, ").partition(": ")[0].split(".")), content)


def _line(keys: tuple[str, ...], content: CommentedMap) -> int:
    """Of the last of ``keys``, or the last of them that is there."""
    node, line = content, 1
    for name in keys:
        key = _as_written(node, name)
        if key is None:
            break
        line, node = node.lc.key(key)[0] + 1, node[key]
    return line


def _as_written(node: Any, name: str) -> Any:
    """The key of ``node`` that reads so, which may be a number; ``None`` if it has none."""
    return next((key for key in node if str(key) == name), None) if isinstance(node, dict) else None


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
