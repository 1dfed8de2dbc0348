"""What ``benchmarks/gpu.py`` measures: trainers of one size, done in several ways, and the textbook loop."""

import argparse
import sys
import time
from collections.abc import Callable

import numpy as np
import torch
from plain import Plain
from torch import Tensor

from gan.config import Config
from gan.graphs import WARM_UP
from gan.networks import Shape
from gan.trainer import Labelled, Trainer, fresh_network

CLASSES, LATENTS = 10, 128
WAYS = ("step by step", "compiled", "one graph", "compiled, one graph")
Row = tuple[str, ...]
Options = argparse.Namespace


def data(size: int) -> Labelled:
    """Random colour images: speed does not hang on what they show."""
    rng = np.random.default_rng(0)
    return Labelled(rng.integers(0, 256, (5000, 3, size, size), dtype=np.uint8), np.arange(5000) % CLASSES, CLASSES)


def trainer(
    options: Options, device: torch.device, size: int, batch: int, way: str = WAYS[0], **more: object
) -> Trainer:
    """Fresh, of the sizes used throughout; ``way`` is how an iteration is done."""
    choices = {"recipe": "wgan-gp", "precision": "float32"} | more
    fixed = {
        "kimg": 1e9,
        "batch_size": batch,
        "width": options.width,
        "latent_dim": LATENTS,
        "compiled": way != WAYS[0],
    }
    made = Trainer.on_images(Config.of(str(choices.pop("recipe")), **fixed, **choices), data(size), 0, device)
    if way == "compiled":
        made._fixed = None
    if way == "one graph":
        made._gradients = made._eager_gradients
    return made


def wait(device: torch.device) -> None:
    """Until the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize()


def rate(work: Callable[[], object], device: torch.device, seconds: float) -> float:
    """How often a second, asked for without waiting in between, as a run does."""
    for _ in range(WARM_UP + 2):
        work()
    wait(device)
    began, count = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        work()
        count += 1
        if count % 64 == 0:
            wait(device)
    wait(device)
    return count / (time.perf_counter() - began)


def weights(run: Trainer) -> Tensor:
    """All that a run has learnt, on the CPU."""
    return torch.cat([value.float().flatten().cpu() for _, value in sorted(run.state().items())])


def gone(run: Trainer, iterations: int) -> Trainer:
    """After so many iterations more."""
    for _ in range(iterations):
        run.iteration()
    return run


def textbook(options: Options, device: torch.device, size: int, batch: int, images: Labelled | None = None) -> Plain:
    """The loop as most code writes it, with the same networks and as many critic steps."""
    shape, images = Shape(size, 3, CLASSES, LATENTS, options.width), images or data(size)
    networks = [fresh_network(Config(kimg=1), part, shape, 0).to(device) for part in ("generator", "critic")]
    arrays = (torch.from_numpy(images.images), torch.from_numpy(images.labels))
    return Plain(*networks, *arrays, batch_size=batch, n_critic=2)


def tell(run: Trainer) -> None:
    """What a run had to do in another way."""
    for note in run.notes:
        print(f"note: {note}", file=sys.stderr, flush=True)
