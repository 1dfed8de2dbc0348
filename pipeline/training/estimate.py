"""What a run will take, before it is begun: parameters, memory, iterations and time."""

import resource
import sys
import time
from dataclasses import asdict

import torch

from gan.config import Config
from gan.graphs import WARM_UP
from gan.memory import peak_bytes
from gan.networks import Shape
from gan.trainer import Trainer
from pipeline.progress import Progress
from pipeline.store import Store

MIB = 2**20
CPU_OVERHEAD = 1.7  # memory of a process over that of its tensors: 1.67 at 8 pixels, 1.66 at 64 (float32, one thread)
TIMED = 5  # iterations, after such that warm up


def describe(trainer: Trainer, store: Store, minutes: float | None) -> str:
    """The plan in a few lines; predicting the memory takes the time of some two iterations."""
    config, device = trainer.config, trainer.device
    sizes = {part: sum(p.numel() for p in getattr(trainer, part).parameters()) for part in ("generator", "critic")}
    shape = Shape(store.image_size, store.channels, len(store.classes), config.latent_dim, config.width)
    if minutes is None:
        budget = f"{config.kimg:g} kimg in {config.iterations:,} iterations of {config.images_per_iteration} images"
    else:
        budget = f"{minutes:g} minutes; what comes out hangs on the speed of this machine"
    operations = ", ".join(config.augment) or "none"
    return "\n".join(
        [
            f"train: {config.family}, {config.loss} with penalty {config.penalty}, {config.precision} on {device.type}",
            f"train: {sizes['generator']:,} parameters of the generator, {sizes['critic']:,} of the critic",
            f"train: {budget}; augmentation {operations}{' at adaptive strength' if config.adaptive else ''}",
            f"train: {_memory(config, shape, device)}, beside the program itself and a set held in memory",
        ]
    )


def _memory(config: Config, shape: Shape, device: torch.device) -> str:
    try:
        memory = peak_bytes(config, shape, device) * (CPU_OVERHEAD if device.type == "cpu" else 1.0)
    except torch.OutOfMemoryError:
        return "more memory than there is on the device"
    return f"about {memory / MIB:,.0f} MiB at the peak"


def settings(config: Config) -> str:
    """Every hyper-parameter as it is after recipe and ``auto``, one a line."""
    return "\n".join(f"  {name}: {value}" for name, value in asdict(config).items())


def seconds_per_iteration(trainer: Trainer) -> float:
    """The mean time of a few iterations from all over the budget, for networks that grow; they move ``trainer`` on."""
    for _ in range(WARM_UP + 2 if trainer.config.compiled else 1):
        trainer.iteration(0.0).cpu()
    began = time.perf_counter()
    for place in range(TIMED):
        trainer.iteration((place + 0.5) / TIMED).cpu()
    return (time.perf_counter() - began) / TIMED


def tell_peak(progress: Progress, device: torch.device) -> None:
    """Prints the memory that the run took at most: on a GPU that of tensors, else that of the whole process."""
    if device.type == "cuda":
        progress.say(f"train: {torch.cuda.max_memory_allocated(device) / MIB:,.0f} MiB of tensors at the peak")
        return
    progress.say(f"train: {process_peak() / MIB:,.0f} MiB of memory at the peak, of the whole process")


def process_peak() -> int:
    """The most bytes of memory that this process took so far."""
    unit = 1 if sys.platform == "darwin" else 1024  # ru_maxrss counts bytes there, kilobytes on Linux
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
