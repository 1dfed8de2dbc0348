"""One critic step and one iteration: augmint's against the textbook loop and torch-mimicry's, and each lever alone.

    python benchmarks/training/step.py [--size 32] [--channels 3] [--batch 64] [--mimicry FOLDER]

Same networks, batch and threads for all, and 5 critic steps an iteration; all variants take turns in one process, and
the median over the rounds counts. ``FOLDER`` is where torch-mimicry was installed (see ``mimicry.py``). Most people's
processor is that of

    ONEDNN_MAX_CPU_ISA=AVX2 ATEN_CPU_CAPABILITY=avx2 MKL_ENABLE_INSTRUCTIONS=AVX2 python benchmarks/training/step.py
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Protocol

import numpy as np
import torch
from flops import Flops
from mimicry import Mimicry
from plain import LEVERS, Plain
from rich.console import Console
from rich.table import Table
from torch import nn

from gan.config import Config
from gan.draws import brought
from gan.networks import Shape
from gan.trainer import Labelled, Trainer, fresh_network
from pipeline.runtime import prepare
from pipeline.training.settings import has_bfloat16

SETTINGS = {"n_critic": 5, "penalty_weight": 10.0, "critic_lr": 1e-4, "generator_lr": 1e-4, "augment": ()}


class Steps(Protocol):
    """What is timed."""

    def critic_step(self) -> object:
        """One update of the critic."""
        ...

    def iteration(self) -> object:
        """``n_critic`` critic steps and a generator step."""
        ...


class Ours:
    """augmint's trainer at the benchmark's settings; ``policy`` changes them."""

    def __init__(self, data: Labelled, shape: Shape, batch: int, device: torch.device, **policy: object) -> None:
        config = Config(kimg=1e9, batch_size=batch, width=shape.width, latent_dim=shape.latent_dim, **SETTINGS | policy)
        self.trainer = Trainer.on_images(config, data, 0, device)

    def critic_step(self) -> None:
        """One update of the critic."""
        self.trainer._critic_step(brought(self.trainer._draw_critic(0), self.trainer.device))

    def iteration(self) -> None:
        """``n_critic`` critic steps and a generator step, the averaged generator and the figures too."""
        self.trainer.iteration()


def main() -> None:
    """Prints both tables."""
    options = _options()
    prepare()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    shape = Shape(options.size, options.channels, 10, 64, options.width)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (2000, options.channels, options.size, options.size), dtype=np.uint8)
    data = Labelled(images, rng.integers(0, 10, 2000), 10)
    makers = _variants(data, shape, options, device)
    times = _timed({name: make() for name, make in makers.items()}, options.rounds, device)
    processor = f"CPU with {torch.backends.cpu.get_cpu_capability()}, {torch.get_num_threads()} threads"
    where = torch.cuda.get_device_name() if device.type == "cuda" else processor
    title = f"{options.size}x{options.size}, {options.channels} channels, width {shape.width}, batch {options.batch}"
    table = Table("loop", "critic step ms", "times as fast", "iteration ms", "times as fast", title=f"{title}, {where}")
    plain = times["textbook loop"]
    for name, (step, whole) in times.items():
        table.add_row(name, f"{step:.2f}", f"{plain[0] / step:.2f}", f"{whole:.1f}", f"{plain[1] / whole:.2f}")
    Console(width=120).print(table)
    _say_peak(times, shape, options, device)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("size", 32), ("channels", 3), ("width", 16), ("batch", 64), ("rounds", 7)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--mimicry", type=Path, help="where torch-mimicry is installed")
    return parser.parse_args()


def _variants(
    data: Labelled, shape: Shape, options: argparse.Namespace, device: torch.device
) -> dict[str, Callable[[], Steps]]:
    images, labels = torch.from_numpy(data.images), torch.from_numpy(data.labels)

    def networks() -> tuple[nn.Module, nn.Module]:
        config = Config(kimg=1)
        generator, critic = (fresh_network(config, part, shape, 0).to(device) for part in ("generator", "critic"))
        return generator, critic

    def plain(*levers: str) -> Steps:
        return Plain(*networks(), images, labels, batch_size=options.batch, levers=levers)

    def ours(**policy: object) -> Steps:
        return Ours(data, shape, options.batch, device, **policy)

    fast = "bfloat16" if has_bfloat16(device) else "float32"
    on_gpu = device.type == "cuda"
    variants: dict[str, Callable[[], Steps]] = {"textbook loop": plain}
    if options.mimicry and options.channels == 3:
        variants["torch-mimicry"] = lambda: Mimicry(options.mimicry, *networks(), images, labels, options.batch)
    left_out = {"compiled critic step": not on_gpu, "bfloat16, penalty in float32": fast == "float32"}
    for lever in LEVERS:
        if not left_out.get(lever):
            variants[f"+ {lever}"] = lambda lever=lever: plain(lever)
    variants["augmint, the same mathematics (float32)"] = lambda: ours(penalty_fraction=1.0)
    variants["augmint, default policy"] = lambda: ours(precision=fast, compiled=on_gpu)
    return variants


def _timed(variants: dict[str, Steps], rounds: int, device: torch.device) -> dict[str, tuple[float, float]]:
    """Median milliseconds of a critic step and of an iteration."""
    for steps in variants.values():
        steps.iteration()
    steps_ms: dict[str, list[float]] = {name: [] for name in variants}
    whole_ms: dict[str, list[float]] = {name: [] for name in variants}
    for _ in range(rounds):
        for name, steps in variants.items():
            steps_ms[name].append(_clock(steps.critic_step, 4, device))  # 4: one lazy penalty in each
            whole_ms[name].append(_clock(steps.iteration, 4, device))
    return {name: (median(steps_ms[name]), median(whole_ms[name])) for name in variants}


def _clock(work: Callable[[], object], times: int, device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize()
    began = time.perf_counter()
    for _ in range(times):
        work()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return (time.perf_counter() - began) / times * 1e3


def _say_peak(
    times: dict[str, tuple[float, float]], shape: Shape, options: argparse.Namespace, device: torch.device
) -> None:
    """The achieved share of the card's dense bfloat16 peak, where its data sheet is known."""
    peaks = {"H100": 989e12, "H200": 989e12, "A100": 312e12, "L4": 121e12, "4090": 165e12}  # NVIDIA data sheets
    if device.type != "cuda":
        return
    name = torch.cuda.get_device_name()
    peak = next((value for key, value in peaks.items() if key in name), None)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (64, shape.channels, shape.image_size, shape.image_size), dtype=np.uint8)
    counted = Ours(Labelled(images, np.arange(64) % 10, 10), shape, options.batch, device)
    with Flops() as flops:
        counted.critic_step()
    rate = flops.total / (times["augmint, default policy"][0] / 1e3)
    share = f", {rate / peak:.1%} of the bfloat16 peak" if peak else ""
    print(f"critic step: {flops.total / 1e9:.2f} GFLOP, {rate / 1e12:.2f} TFLOP/s{share}")


if __name__ == "__main__":
    main()
