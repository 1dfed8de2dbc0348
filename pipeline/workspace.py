"""Where a project's files lie. The one place that knows the names of the pipeline's outputs."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Workspace:
    """The folder that holds ``params.yaml`` and ``dvc.yaml``, and the places below it."""

    root: Path = Path()

    @property
    def params(self) -> Path:
        """The parameters, the only input of a stage beside the earlier stages' outputs."""
        return self.root / "params.yaml"

    @property
    def version(self) -> Path:
        """Which version lies at the images' address, written by ``look`` where DVC cannot ask."""
        return self.root / "data" / "version.json"

    @property
    def store(self) -> Path:
        """The ingested set, written by ``ingest``."""
        return self.root / "data" / "store"

    @property
    def models(self) -> Path:
        """Generator, critic and their cards, written by ``train``."""
        return self.root / "models"

    @property
    def synthetic(self) -> Path:
        """The exported set with its ``manifest.parquet``, written by ``export``."""
        return self.root / "synthetic"

    @property
    def classifier(self) -> Path:
        """The recommended classifier and its card, written by ``classify``."""
        return self.root / "classifier"

    @property
    def report(self) -> Path:
        """The page that shows it all, written by ``classify``."""
        return self.root / "report"

    @property
    def study(self) -> Path:
        """The plan of `augmint study`, its ``dvc.yaml``, and what its folds found."""
        return self.root / "study"

    def fold(self, name: str) -> Path:
        """What one fold of the study found."""
        return self.study / "folds" / name

    @property
    def scratch(self) -> Path:
        """Resumable state of runs in work. Never an output of DVC's; what lies here may be lost without harm."""
        return self.root / ".augmint"

    @property
    def outputs(self) -> tuple[Path, ...]:
        """Every place that stages write, each a file or folder of its own."""
        folders = (self.store, self.models, self.synthetic, self.classifier, self.report, self.scratch)
        return (*folders, self.version, self.root / "metrics", self.root / "plots")

    @property
    def places(self) -> tuple[Path, ...]:
        """The folders that outputs lie in, where :func:`pipeline.atomic.recover` has to look."""
        below = ("data", "metrics", "plots", "study", "study/folds", ".augmint/aside")
        return (self.root, *(self.root / name for name in below))

    def metrics(self, name: str) -> Path:
        """The JSON of figures called ``name``: ``ingest``, ``train``, ``quality``, ``export``,
        ``utility`` or ``study``."""
        return self.root / "metrics" / f"{name}.json"

    def plots(self, stage: str) -> Path:
        """The folder of curves (CSV) and pictures (PNG) that ``stage`` leaves for ``dvc plots``."""
        return self.root / "plots" / stage
