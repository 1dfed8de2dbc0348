"""What a run in work is asked about itself: how its critic judges images it has and has not seen, and what it draws.

It observes: nothing here changes the run. All random numbers come from streams named after the iteration.
"""

import numpy as np
import torch
from torch import Tensor

from gan.draws import brought
from gan.health import Classes, overfitting, separation, sign_overfitting
from gan.parts import at_once, in_chunks
from gan.real_images import RealImages, fetched
from gan.seeds import stream
from gan.trainer import Labelled, Trainer

EVERY = 8  # iterations between two looks at the scores: some 2 % of the time
MEMORY = 0.9  # weight of the past in the averages: about 10 looks of one batch each
LEAST_HELD_OUT = 50  # images; the mean score of fewer says too little
CLASSES, IMAGES, LEAST = 16, 16, 8  # whose pixels are looked at: classes, images of each, real ones of each at least
SCORES = ("train", "fake", "held_out", "train_sign", "difference_variance")


class Probe:
    """Running averages of the critic's scores on real, held-out and fake images of the same labels.

    Args:
        trainer: the run.
        train: the images that it learns from.
        held_out: images of the same classes that nothing learns from; a few do not count.
    """

    def __init__(self, trainer: Trainer, train: Labelled, held_out: Labelled) -> None:
        self.trainer = trainer
        self.known = len(held_out.labels) >= LEAST_HELD_OUT
        self.mean = torch.full((len(SCORES),), torch.nan, device=trainer.device)
        labels = held_out.labels if self.known else train.labels
        present = np.unique(labels)  # a small held-out set may lack a class
        images = held_out.images if self.known else train.images
        self._present = torch.from_numpy(present)
        self._held_out = RealImages(images, np.searchsorted(present, labels), len(present), 0.0, trainer.device)
        self._labels, self._real = _some_of_each(train)

    def look(self) -> bool:
        """Looks at the scores when their time has come, once in :data:`EVERY` iterations; returns whether it did.

        It does not wait for the device; what reads the scores does.
        """
        if self.trainer.done % EVERY:
            return False
        scores = self._scores()
        self.mean = torch.where(self.mean.isnan(), scores, torch.lerp(scores, self.mean, MEMORY))
        return True

    @property
    def overfitting(self) -> float | None:
        """ADA's r_v, or r_t where there are too few held-out images and the loss gives the scores a zero."""
        scores = self._named()
        if not scores:
            return None
        if self.known:
            return overfitting(scores["train"], scores["held_out"], scores["fake"])
        return sign_overfitting(scores["train_sign"]) if self.trainer.objective.loss.centred else None

    def signals(self) -> dict[str, float]:
        """What ``gan.health`` judges, by name, as far as it is known by now."""
        found: dict[str, float | None] = {"overfitting": self.overfitting}
        if scores := self._named():
            found["separation"] = separation(scores["train"], scores["fake"], scores["difference_variance"])
        if self._real is not None:
            drawn = self._drawn()
            found["diversity"] = drawn.diversity(self._real)
            if self.trainer.label_strength == 1:
                found["label_contrast"] = drawn.contrast(self._real)
        return {name: value for name, value in found.items() if value is not None}

    def _named(self) -> dict[str, float]:
        return {} if self.mean.isnan().any() else dict(zip(SCORES, self.mean.tolist(), strict=True))

    @torch.no_grad()
    def _scores(self) -> Tensor:
        """Of one batch of each kind, all of the same labels; float32 as in ``SCORES``."""
        trainer, config = self.trainer, self.trainer.config
        rng = stream(trainer.seed, "train.probe", trainer.done)
        places = self._held_out.sample_labels(config.batch_size // config.packing, rng)
        places = places.repeat_interleave(config.packing)
        labels = self._present[places]
        held_out = fetched(self._held_out, self._held_out.draw(places, rng))
        train = fetched(trainer.source, trainer.source.draw(labels, rng))
        drawn = (labels, held_out, train, trainer.latents(rng))
        changes = tuple(trainer.changes(rng) for _ in range(3))
        (labels, held_out, train, latents), changes = brought((drawn, changes), trainer.device)
        kinds = (trainer.source.images(train), trainer.fakes(latents, labels), self._held_out.images(held_out))
        seen = [trainer.seen(images, change) for images, change in zip(kinds, changes, strict=True)]
        with trainer.objective.autocast(latents):
            of_train, of_fake, of_held_out = (self._judged(one, labels[:: config.packing]) for one in seen)
        means = [scores.mean() for scores in (of_train, of_fake, of_held_out, of_train.sign())]
        return torch.stack([*means, (of_train - of_fake).var()])

    def _judged(self, seen: Tensor, labels: Tensor) -> Tensor:
        unit = self.trainer.config.group
        scores = in_chunks(self.trainer.critic, seen, labels, at_once=len(seen), unit=unit)
        return torch.cat(scores).float()

    def _drawn(self) -> Classes:
        trainer = self.trainer
        labels = torch.from_numpy(self._labels).repeat_interleave(IMAGES)
        rng = stream(trainer.seed, "train.spread", trainer.done)
        z = torch.randn(len(labels), trainer.config.latent_dim, generator=rng)
        images = trainer.fakes(z.to(trainer.device), labels.to(trainer.device)).cpu().numpy()
        return Classes.of(images.reshape(len(self._labels), IMAGES, -1))


def _some_of_each(train: Labelled) -> tuple[np.ndarray, Classes | None]:
    """Labels of some classes with enough real images, evenly chosen, and their images' statistics."""
    counts = np.bincount(train.labels, minlength=train.classes)
    enough = np.flatnonzero(counts >= LEAST)
    if len(enough) == 0:
        return enough, None
    labels = enough[np.unique(np.linspace(0, len(enough) - 1, min(CLASSES, len(enough))).astype(int))]
    most = at_once(16 * IMAGES, train.images.shape[-1])
    rows = [np.flatnonzero(train.labels == label)[:most] for label in labels]
    return labels, Classes.of(train.images[some].reshape(len(some), -1) / 127.5 - 1 for some in rows)
