"""Everything about a GPU in one call: is it right, does it wait, how fast is it. Needs torch alone.

    python benchmarks/gpu.py [--device cuda] [--seconds 20] [--sizes 32 64] [--batches 64 256]

Prints Markdown for docs/benchmarks.md, headed by the card's name: what a run gives twice and after a stop, against the
same on the processor; copies, waits and launches of an iteration, as the profiler counts them; images a second by size
and batch, plain and compiled, beside the textbook loop in the same run; told memory against used; drawing. Each part
stands alone: one that fails is printed as such, and the rest goes on. With ``--device cpu`` it tries itself.
"""

import argparse
import itertools
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parent / "training")]

import numpy as np  # noqa: E402
import torch  # noqa: E402
from plain import Plain  # noqa: E402
from torch import Tensor  # noqa: E402
from torch.profiler import ProfilerActivity, profile  # noqa: E402

from gan.config import Config  # noqa: E402
from gan.memory import peak_bytes  # noqa: E402
from gan.networks import Shape  # noqa: E402
from gan.recipes import RECIPES  # noqa: E402
from gan.sampler import Sampler  # noqa: E402
from gan.trainer import Labelled, Trainer, fresh_network  # noqa: E402

CLASSES, WIDTH, LATENTS = 10, 64, 128
WARM_UP = 3  # iterations, in which kernels are chosen and graphs compiled
LAUNCHES = ("cudaLaunchKernel", "cuLaunchKernel", "cudaLaunchKernelExC", "cuLaunchKernelEx", "cudaGraphLaunch")
WAITS = ("cudaStreamSynchronize", "cudaDeviceSynchronize", "cudaEventSynchronize")
Row = tuple[str, ...]


def data(size: int) -> Labelled:
    """Random colour images: speed does not hang on what they show."""
    rng = np.random.default_rng(0)
    return Labelled(rng.integers(0, 256, (5000, 3, size, size), dtype=np.uint8), np.arange(5000) % CLASSES, CLASSES)


def trainer(device: torch.device, size: int, batch: int, recipe: str = "wgan-gp", **choices: object) -> Trainer:
    """Fresh, of the sizes used throughout."""
    config = Config.of(recipe, kimg=1e9, batch_size=batch, width=WIDTH, latent_dim=LATENTS, **choices)
    return Trainer.on_images(config, data(size), 0, device)


def wait(device: torch.device) -> None:
    """Until the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize()


def rate(work: Callable[[], object], device: torch.device, seconds: float) -> float:
    """How often a second, asked for without waiting in between, as a run does."""
    for _ in range(WARM_UP):
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


# Parts -------------------------------------------------------------------------------------------------------------


def right(options: argparse.Namespace, device: torch.device) -> Iterator[Row]:  # noqa: ARG001
    """Whether two runs are equal, a resumed one too, and how far the first step is from the processor's."""
    yield "recipe", "twice the same bits", "resumed to the same bits", "first figures against the CPU's"
    for recipe in sorted(RECIPES):
        made = [trainer(device, 16, 16, recipe) for _ in range(3)]
        for run in made[:2]:
            for _ in range(4):
                run.iteration()
        for _ in range(2):
            made[2].iteration()
        state = {name: value.clone() for name, value in made[2].state().items()}
        resumed = trainer(device, 16, 16, recipe)
        resumed.load_state(state)
        for _ in range(2):
            resumed.iteration()
        first = [trainer(where, 16, 16, recipe).iteration().cpu() for where in (device, torch.device("cpu"))]
        apart = (first[0] - first[1]).abs().max() / first[1].abs().max()
        same = [torch.equal(weights(made[0]), weights(other)) for other in (made[1], resumed)]
        yield recipe, *("yes" if one else "**no**" for one in same), f"{apart:.1e}"


def traffic(options: argparse.Namespace, device: torch.device) -> Iterator[Row]:
    """What the profiler sees of ten iterations."""
    yield "recipe", "compiled", "copies to the device an iteration", "waits", "launches", "device at work"
    for recipe, compiled in itertools.product(("wgan-gp", "r3"), (False, True)):
        run = trainer(device, 32, 64, recipe, compiled=compiled and device.type == "cuda", precision=options.precision)
        for _ in range(WARM_UP):
            run.iteration()
        wait(device)
        kinds = [ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * (device.type == "cuda")
        began = time.perf_counter()
        with profile(activities=kinds) as seen:
            for _ in range(10):
                run.iteration()
            wait(device)
        whole = time.perf_counter() - began
        events = seen.key_averages()
        counts = {event.key: event.count for event in events}
        busy = sum(getattr(event, "self_device_time_total", 0.0) for event in events) / 1e6
        copies = sum(count for key, count in counts.items() if "HtoD" in key)
        yield (
            recipe,
            "yes" if compiled else "no",
            f"{copies / 10:g}",
            f"{sum(counts.get(key, 0) for key in WAITS) / 10:g}",
            f"{sum(counts.get(key, 0) for key in LAUNCHES) / 10:,.0f}",
            f"{busy / whole:.0%}",
        )


def speed(options: argparse.Namespace, device: torch.device) -> Iterator[Row]:
    """Real images a second that the critic sees, n_critic 2."""
    yield (
        "size",
        "batch",
        "textbook loop",
        "float32",
        options.precision,
        "compiled",
        "compiled over textbook",
    )
    for size, batch in itertools.product(options.sizes, options.batches):
        found = [2 * batch * rate(textbook(device, size, batch).iteration, device, options.seconds)]
        fast = {"precision": options.precision}
        for choices in ({}, fast, fast | {"compiled": device.type == "cuda"}):
            run = trainer(device, size, batch, **choices)
            found.append(2 * batch * rate(run.iteration, device, options.seconds))
        yield str(size), str(batch), *(f"{one:,.0f}" for one in found), f"{found[-1] / found[0]:.1f}"


def textbook(device: torch.device, size: int, batch: int) -> Plain:
    """The loop as most code writes it, with the same networks and as many critic steps."""
    shape, images = Shape(size, 3, CLASSES, LATENTS, WIDTH), data(size)
    networks = [fresh_network(Config(kimg=1), part, shape, 0).to(device) for part in ("generator", "critic")]
    arrays = (torch.from_numpy(images.images), torch.from_numpy(images.labels))
    return Plain(*networks, *arrays, batch_size=batch, n_critic=2)


def memory(options: argparse.Namespace, device: torch.device) -> Iterator[Row]:
    """What :func:`gan.memory.peak_bytes` tells, and what the allocator has given at most."""
    yield "size", "batch", "told MiB", "used MiB"
    if device.type != "cuda":
        return
    for size, batch in itertools.product(options.sizes, options.batches):
        shape = Shape(size, 3, CLASSES, LATENTS, WIDTH)
        config = Config(kimg=1, batch_size=batch, width=WIDTH, latent_dim=LATENTS)
        told = peak_bytes(config, shape, device)
        torch.cuda.empty_cache()
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        run = trainer(device, size, batch)
        for _ in range(2):
            run.iteration()
        yield str(size), str(batch), f"{told >> 20:,}", f"{torch.cuda.max_memory_allocated() - before >> 20:,}"


def drawing(options: argparse.Namespace, device: torch.device) -> Iterator[Row]:
    """Images a second of the sampler, to bytes on the CPU; and whether they are those of the processor."""
    yield "size", "images/s", "levels that differ from the CPU's by more than 1"
    for size in options.sizes:
        run = trainer(device, size, 8)
        sampler = Sampler(run.ema, 0, device)
        each = 512 * rate(lambda: sampler.draw(1, 0, 512), device, options.seconds / 4)  # noqa: B023
        here = sampler.draw(1, 0, 64).int()
        there = Sampler(run.ema.cpu(), 0).draw(1, 0, 64).int()
        yield str(size), f"{each:,.0f}", f"{((here - there).abs() > 1).float().mean():.2%}"


PARTS: dict[str, Callable[[argparse.Namespace, torch.device], Iterator[Row]]] = {
    "Right": right,
    "Waits": traffic,
    "Speed": speed,
    "Memory": memory,
    "Drawing": drawing,
}


def main() -> int:
    """Prints all parts; 1 if one of them failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--seconds", type=float, default=20, help="for each speed")
    parser.add_argument("--sizes", type=int, nargs="+", default=[32, 64])
    parser.add_argument("--batches", type=int, nargs="+", default=[64, 256])
    options = parser.parse_args()
    device = torch.device(options.device)
    has_bfloat16 = device.type != "cuda" or torch.cuda.is_bf16_supported(including_emulation=False)
    options.precision = "bfloat16" if has_bfloat16 else "float32"
    name = torch.cuda.get_device_name() if device.type == "cuda" else "processor"
    print(f"## {name}, torch {torch.__version__}, width {WIDTH}, `benchmarks/gpu.py`", flush=True)
    failed = 0
    for title, part in PARTS.items():
        print(f"\n### {title}\n\n{(part.__doc__ or '').strip()}\n", flush=True)
        try:
            for number, row in enumerate(part(options, device)):
                print(f"| {' | '.join(row)} |", flush=True)
                if number == 0:
                    print(f"| {' | '.join('---' for _ in row)} |", flush=True)
        except Exception:  # the other parts are still worth their time
            failed = 1
            print(f"\nfailed:\n\n```\n{traceback.format_exc()}```", flush=True)
    return failed


if __name__ == "__main__":
    sys.exit(main())
