"""What a run is made from, and what its state on disk belongs to."""

from dataclasses import dataclass

import torch

from gan.config import Config
from gan.following import Leader
from gan.ranks import Ranks
from gan.trainer import Labelled
from pipeline.identity import key
from pipeline.params import TrainParams
from pipeline.store import SplitName, Store
from pipeline.training.origin import Origin
from pipeline.training.snapshots import Judge

HOW = {"checkpoint_seconds", "launcher", "processes"}
"""Choices of how a run is done, not of what it is."""
ASIDE = HOW | {"device", "seeds"}
"""Choices that a run does not depend on, or as they turned out."""


@dataclass(frozen=True)
class TrainingSetup:
    """What all members of an ensemble share.

    Attributes:
        params: the choices of the train stage, without ``auto`` in recipe and family.
        chosen: a sentence on each that ``auto`` stood in.
        config: the GAN's own, nothing ``auto`` in it.
        store: the ingested set.
        data: SHA-256 of the set's files, by name.
        device: where to run.
        judge: of snapshots.
        ranks: the processes that share each batch.
        origin: what the training goes on from; None for fresh networks.
    """

    params: TrainParams
    chosen: list[str]
    config: Config
    store: Store
    data: dict[str, str]
    device: torch.device
    judge: Judge
    ranks: Ranks
    origin: Origin | None = None

    def labelled(self, name: SplitName) -> Labelled:
        """One split as the GAN takes it."""
        split = self.store.split(name)
        return Labelled(split.images, split.labels, len(self.store.classes))

    def trainer(self, seed: int) -> Leader:
        """A trainer of ``seed`` before its first iteration."""
        start = None if self.origin is None else self.origin.start(self.store)
        return Leader.on_images(self.config, self.labelled("train"), seed, self.device, self.ranks, start)

    def key(self, seed: int) -> str:
        """Names all that the run of ``seed`` depends on: a state of anything else must not be taken up."""
        return key(
            params=self.params.model_dump(mode="json", exclude=ASIDE),
            config=repr(self.config),
            seed=seed,
            data=self.data,
            origin=self.origin and self.origin.described(),
            device=self.device.type,
            threads=torch.get_num_threads(),
            processes=self.ranks.count,  # as they are: torchrun may have been asked for others than params.yaml says
        )

    def card(self, part: str, seed: int, kimg: float) -> dict[str, object]:
        """What the card of a network of the run of ``seed`` says after ``kimg``."""
        return {
            "part": part,
            "family": self.config.family,
            "classes": list(self.store.classes),
            "channels": self.store.channels,
            "image_size": self.store.image_size,
            "kimg": kimg,
            "seed": seed,
            **({} if self.config.mirror == "none" else {"mirror": self.config.mirror}),
            **({} if self.origin is None else {"init_from": self.origin.described()}),
        }
