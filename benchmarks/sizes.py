"""Every network in many sizes: does it crash, hang, or compute something else than it should?

    python benchmarks/sizes.py [--of classifier|torchvision|gan] [--isa AVX2 --isa AVX512_CORE] [--every N]

Each case is a process of its own, with glibc checking every block of memory that is freed, and with fresh memory that
is not zero. It trains a few steps as the stages do, and compares the gradients of one step with those of the plain
layout without oneDNN. Sizes lie at and beside the blocks that vectorised kernels work on. ``--isa`` has oneDNN use the
kernels of older processors too. Exit code 1 says that a case is not well.
"""

import argparse
import copy
import ctypes
import itertools
import os
import resource
import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.runtime import prepare

prepare()  # before torch

import numpy as np  # noqa: E402
import torch  # noqa: E402
import torch.nn.functional as F  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.table import Table  # noqa: E402
from torch import Tensor, nn  # noqa: E402

from gan.config import Config  # noqa: E402
from gan.networks import FAMILIES  # noqa: E402
from gan.penalties import PENALTIES  # noqa: E402
from gan.recipes import RECIPES  # noqa: E402
from gan.trainer import Labelled, Trainer  # noqa: E402
from pipeline.classifier.architectures import build  # noqa: E402
from pipeline.classifier.training import Recipe, fit, logits  # noqa: E402
from pipeline.params import ClassifyParams  # noqa: E402

CHECKER = "libc_malloc_debug.so.0"  # comes with glibc 2.34 and later
TUNABLES = "glibc.malloc.check=3:glibc.malloc.perturb=165"
LONGEST = 120  # seconds of work a case
PATIENCE = 10  # times that, for one that waits, or works on a busy machine
TOLERANCE = 0.05  # of a gradient's norm: a rounding that flips a ReLU costs 0.01, wrong memory much more
ROUNDING = 1e-6  # of a weight: what sums of some hundred float32 lose
AS_UNSURE = 3  # times as far as such a rounding moves a gradient
NEGLIGIBLE = 1e-3  # of all gradients' norm: a bias in front of a normalisation has nothing but rounding
WIDTHS = (4, 5, 6, 7, 8, 9, 12, 15, 16, 17, 33)
CHANNELS = (1, 3)
IMAGE_SIZES = (8, 9, 12, 15, 16, 17, 31, 32, 33, 64)
TORCHVISION = ("resnet18", "shufflenet_v2_x0_5", "regnet_x_400mf")  # without dropout, which depends on the layout
TWO_SIDED = PENALTIES["two_sided"]


@dataclass(frozen=True)
class Case:
    """One network in one size, and what else is chosen for it."""

    network: str
    width: int
    channels: int
    image_size: int
    batch: int
    threads: int
    choices: dict[str, Any]

    def __str__(self) -> str:
        chosen = " ".join(f"{name}={value}" for name, value in self.choices.items())
        return (
            f"{self.network} width={self.width} channels={self.channels} image_size={self.image_size} "
            f"batch={self.batch} threads={self.threads} {chosen}"
        )


def main() -> int:
    """Runs the cases, prints a row for each network and a line for each case that is not well."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--of", choices=KINDS, help="one kind of network alone")
    parser.add_argument("--isa", action="append", help="oneDNN's instruction set, such as AVX2; may be given again")
    parser.add_argument("--every", type=int, default=1, help="only every so manieth case")
    asked = parser.parse_args()
    title = "Sizes" if _check_memory() else "Sizes, with memory unchecked: glibc's checker is not installed"
    cases = [case for kind, made in KINDS.items() if asked.of in (None, kind) for case in made()]
    table = Table("network", "instructions", "cases", "ok", "not", title=title)
    bad = 0
    for isa in asked.isa or ["DEFAULT"]:
        counts: Counter[tuple[str, bool]] = Counter()
        for case in cases[:: asked.every]:
            found = in_a_process(case, isa)
            counts[case.network, found == "ok"] += 1
            if found != "ok":
                print(f"{isa}: {case}: {found}", flush=True)
        for name in dict.fromkeys(case.network for case in cases):
            ok, failed = counts[name, True], counts[name, False]
            table.add_row(name, isa, str(ok + failed), str(ok), str(failed))
            bad += failed
    Console().print(table)
    return 1 if bad else 0


# Cases -------------------------------------------------------------------------------------------------------------


def classifiers() -> Iterator[Case]:
    """The classifier; of width 16 it is the domain embedder too."""
    others = itertools.cycle(
        {"classes": classes, "augment": kind} for classes, kind in itertools.product((2, 10, 17), ("none", "trivial"))
    )
    batches, threads = itertools.cycle((2, 3, 64, 5, 17)), itertools.cycle((1, 1, 2))
    for width, channels, size in itertools.product(WIDTHS, CHANNELS, (*IMAGE_SIZES, 256)):
        yield Case("SmallResNet", width, channels, size, next(batches), next(threads), next(others))


def architectures() -> Iterator[Case]:
    """Some of torchvision's networks, whose widths are their own; they see images of 32x32 at least."""
    batches, threads = itertools.cycle((8, 17, 9)), itertools.cycle((1, 2))
    for name, channels, size in itertools.product(TORCHVISION, CHANNELS, (8, 33, 64)):
        yield Case(f"torchvision:{name}", 16, channels, size, next(batches), next(threads), {"classes": 3})


def gans() -> Iterator[Case]:
    """Generators and critics of every family, with every recipe, packing and batch statistics."""
    recipes = itertools.cycle(sorted(RECIPES))
    extras = itertools.cycle(
        {"packing": packing, "minibatch_std": std, "latent_dim": latent}
        for packing, std, latent in itertools.product((1, 2, 3), (0, 2), (1, 7, 64))
    )
    batches, threads = itertools.cycle((12, 24, 36)), itertools.cycle((1, 1, 2))
    for family, width, channels, size in itertools.product(FAMILIES, WIDTHS, CHANNELS, IMAGE_SIZES):
        if width * size > 33 * 33:  # minutes a case
            continue
        choices = next(extras) | {"recipe": next(recipes)}
        yield Case(family, width, channels, size, next(batches), next(threads), choices)


KINDS = {"classifier": classifiers, "torchvision": architectures, "gan": gans}


# Processes ---------------------------------------------------------------------------------------------------------


def _check_memory() -> bool:
    """Starts this program anew under glibc's checks; whether they are at work."""
    if os.environ.get("LD_PRELOAD") != CHECKER:
        try:
            ctypes.CDLL(CHECKER)
        except OSError:
            return False
        os.environ |= {"LD_PRELOAD": CHECKER, "GLIBC_TUNABLES": TUNABLES}
        os.execv(sys.executable, [sys.executable, *sys.argv])
    return True


def in_a_process(case: Case, isa: str) -> str:
    """``ok``, or how the case ended."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # glibc's own words
        resource.setrlimit(resource.RLIMIT_CPU, (LONGEST, LONGEST + 5))
        signal.alarm(PATIENCE * LONGEST)
        os.environ["ONEDNN_MAX_CPU_ISA"] = isa  # read at the first convolution
        os.write(writer, _outcome(case).encode()[:1000])
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        said = pipe.read().decode()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        endless = number in (signal.SIGALRM, signal.SIGXCPU)
        return f"no end after {LONGEST} s" if endless else f"crash ({signal.Signals(number).name})"
    return said or f"exit code {os.WEXITSTATUS(status)}"


def _outcome(case: Case) -> str:
    torch.set_num_threads(case.threads)
    try:
        return (_gan if case.network in FAMILIES else _classifier)(case)
    except Exception as error:  # whatever it is, it is the case's outcome
        return f"{type(error).__name__}: {error}"


# What is tried -----------------------------------------------------------------------------------------------------


def _images(case: Case, count: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    shape = (count, case.channels, case.image_size, case.image_size)
    return rng.integers(0, 256, shape, dtype=np.uint8), np.arange(count) % classes


def _classifier(case: Case) -> str:
    classes = case.choices["classes"]
    images, labels = _images(case, 40, classes)
    name = "small-resnet" if case.network == "SmallResNet" else case.network
    params = ClassifyParams(classifier=name, width=case.width)
    network = build(params, Path(), classes, case.channels, case.image_size, seed=0)
    x = torch.randn(case.batch, *images.shape[1:]).contiguous(memory_format=torch.channels_last)
    y = torch.arange(case.batch) % classes
    verdict = _compared(network, lambda net: F.cross_entropy(net(x), y))
    recipe = Recipe(augment=case.choices.get("augment", "none"))
    fit(network, images, labels, seed=0, steps=3, batch_size=case.batch, recipe=recipe)
    if not np.isfinite(logits(network, images, batch_size=case.batch)).all():
        return "NaN"
    return verdict


def _gan(case: Case) -> str:
    verdict = "ok"
    for precision in ("float32", "bfloat16"):
        choices = case.choices | {"family": case.network, "width": case.width, "batch_size": case.batch}
        config = Config.of(choices.pop("recipe"), kimg=1, precision=precision, **choices)
        trainer = Trainer.on_images(config, Labelled(*_images(case, 12, 3), 3), 0, torch.device("cpu"))
        if precision == "float32":
            verdict = _gan_compared(trainer)
        figures = torch.stack([trainer.iteration(0.5) for _ in range(2)])
        if not figures.isfinite().all():
            return f"NaN in {precision}"
    return verdict


def _gan_compared(trainer: Trainer) -> str:
    """The critic with the double backward pass of a penalty, on what the trainer shows it, and the generator.

    Scores and pixels have weights of their own. In the losses real and synthetic ones cancel, and gradients that should
    be zero are rounding alone.
    """
    steps: list[tuple[Tensor, ...]] = []
    gradients = trainer._gradients

    def recording(real: Tensor, fake: Tensor, labels: Tensor, alpha: Tensor | None) -> Tensor:
        steps.append((real, fake, labels))
        return gradients(real, fake, labels, alpha)

    trainer._gradients = recording
    trainer.iteration(0.5)
    trainer._gradients = gradients
    real, fake, labels = steps[0]
    places, scores = torch.rand(len(labels)), torch.randn(2 * len(labels))

    def of_critic(critic: nn.Module) -> Tensor:
        judged = critic(torch.cat([real, fake]), torch.cat([labels, labels]))
        return (judged * scores).sum() + TWO_SIDED(critic, real, fake, labels, places)

    shape, config = trainer.generator.shape, trainer.config
    z, asked = torch.randn(config.batch_size, config.latent_dim), torch.arange(config.batch_size) % shape.classes
    pixels = torch.randn(config.batch_size, shape.channels, shape.image_size, shape.image_size)
    critic = _compared(trainer.critic, of_critic)
    generator = _compared(trainer.generator, lambda network: (network(z, asked) * pixels).sum())
    return critic if critic != "ok" else generator


def _compared(network: nn.Module, loss: Callable[[nn.Module], Tensor]) -> str:
    """``ok`` if all gradients are as in the plain layout without oneDNN, as far as these are sure themselves.

    Where a batch normalisation has a few nearly equal values to work on, gradients hang on the last bits of the
    weights. How much they do is seen by changing those bits.
    """
    found = _gradients(copy.deepcopy(network), loss)
    with torch.backends.mkldnn.flags(enabled=False):
        plain = _gradients(copy.deepcopy(network).to(memory_format=torch.contiguous_format), loss)
        worst = _distance(found, plain)
        unsure = _distance(_gradients(_shaken(network), loss), plain) if worst >= TOLERANCE else 0.0
    return "ok" if worst < max(TOLERANCE, AS_UNSURE * unsure) else f"a gradient differs by {worst:.1e}"


def _distance(found: list[Tensor], plain: list[Tensor]) -> float:
    """The largest difference of a gradient, as a share of its norm."""
    floor = NEGLIGIBLE * torch.stack([gradient.norm() for gradient in plain]).norm()
    errors = [(f - p).norm() / (p.norm() + floor) for f, p in zip(found, plain, strict=True)]
    return float(torch.stack(errors).nan_to_num(nan=torch.inf).max())


def _shaken(network: nn.Module) -> nn.Module:
    shaken = copy.deepcopy(network).to(memory_format=torch.contiguous_format)
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in shaken.parameters():
            parameter.mul_(1 + ROUNDING * torch.randn_like(parameter))
    return shaken


def _gradients(network: nn.Module, loss: Callable[[nn.Module], Tensor]) -> list[Tensor]:
    network.train()
    torch.manual_seed(0)
    found = torch.autograd.grad(loss(network), list(network.parameters()), allow_unused=True)
    return [gradient for gradient in found if gradient is not None]


if __name__ == "__main__":
    sys.exit(main())
