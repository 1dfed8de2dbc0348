"""Everything about a GPU in one call, in under ten minutes: right or not, waiting or not, how fast. Needs torch alone.

    python benchmarks/gpu.py [--device cuda] [--seconds 4] [--sizes 32] [--batches 64 256] [--cifar PATH] [--only Speed]
    python benchmarks/gpu.py --dry-run        # the same on a processor, tiny and in less than a minute

Prints Markdown for docs/benchmarks.md, headed by the card's name: images a second beside the textbook loop in the same
run, step by step, compiled, and replayed as one CUDA graph; copies, waits and launches of an iteration, as the profiler
counts them; what a run gives twice, after a stop, as a graph and in parts, against the same on the processor; told
memory against used; drawing; classifiers one by one and together; and, where CIFAR-10 is given (see
``training/cifar.py``), time to the KID at which the textbook loop ends. Each part stands alone: one that fails is
printed as such, and the rest goes on.
"""

import argparse
import itertools
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parent / "training")]

import torch  # noqa: E402
from cifar import cifar  # noqa: E402
from flops import Flops  # noqa: E402
from right import right  # noqa: E402
from torch.profiler import ProfilerActivity, profile  # noqa: E402
from ways import CLASSES, LATENTS, WAYS, Options, Row, data, gone, rate, tell, textbook, trainer, wait  # noqa: E402

from gan.config import Config  # noqa: E402
from gan.graphs import WARM_UP  # noqa: E402
from gan.memory import peak_bytes  # noqa: E402
from gan.networks import Shape  # noqa: E402
from gan.sampler import Sampler  # noqa: E402

LAUNCHES = ("cudaLaunchKernel", "cuLaunchKernel", "cudaLaunchKernelExC", "cuLaunchKernelEx", "cudaGraphLaunch")
WAITS = ("cudaStreamSynchronize", "cudaDeviceSynchronize", "cudaEventSynchronize")
# Parts -------------------------------------------------------------------------------------------------------------


def speed(options: Options, device: torch.device) -> Iterator[Row]:
    """Iterations a second (two critic steps of the batch, one of the generator), and shares of a product's speed."""
    peak = product(options, device)
    yield "size", "batch", "textbook loop", "float32", *WAYS, "times the textbook loop", "share of the peak"
    for size, batch in itertools.product(options.sizes, options.batches):
        found = [rate(textbook(options, device, size, batch).iteration, device, options.seconds)]
        found.append(rate(trainer(options, device, size, batch).iteration, device, options.seconds))
        for way in WAYS:
            run = trainer(options, device, size, batch, way, precision=options.precision)
            found.append(rate(run.iteration, device, options.seconds))
            tell(run)
        counted = trainer(options, device, size, batch, precision=options.precision)
        with Flops() as flops:
            counted.iteration()
        best = max(found[1:])
        share = best * flops.total / peak
        yield str(size), str(batch), *(f"{one:,.1f}" for one in found), f"{best / found[0]:.1f}", f"{share:.1%}"


def product(options: Options, device: torch.device) -> float:
    """The card's peak as it is had: floating-point operations a second of a large product of bfloat16 matrices."""
    side = 256 if options.dry_run else 8192
    a, b = (torch.randn(side, side, device=device, dtype=torch.bfloat16) for _ in range(2))
    each = rate(lambda: a @ b, device, options.seconds / 4)
    print(f"A product of bfloat16 matrices of {side}x{side}: {each * 2 * side**3 / 1e12:,.1f} TFLOP/s.\n", flush=True)
    return each * 2 * side**3


def traffic(options: Options, device: torch.device) -> Iterator[Row]:
    """What the profiler sees of an iteration, a mean over ten."""
    count = 2 if options.dry_run else 10
    yield "recipe", "way", "copies to the device", "waits", "launches", "device at work"
    size, batch = options.sizes[0], options.batches[0]
    for recipe, way in itertools.product(("wgan-gp", "r3", "dcgan"), ("step by step", "compiled, one graph")):
        run = trainer(options, device, size, batch, way, recipe=recipe, precision=options.precision)
        gone(run, WARM_UP + 2)
        wait(device)
        kinds = [ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * (device.type == "cuda")
        began = time.perf_counter()
        with profile(activities=kinds) as seen:
            gone(run, count)
            whole = time.perf_counter() - began
        events = seen.key_averages()
        counts = {event.key: event.count for event in events}
        busy = sum(getattr(event, "self_device_time_total", 0.0) for event in events) / 1e6
        copies = sum(count for key, count in counts.items() if "HtoD" in key)
        waits, launches = (sum(counts.get(key, 0) for key in keys) for keys in (WAITS, LAUNCHES))
        yield (
            recipe,
            way,
            f"{copies / count:g}",
            f"{waits / count:g}",
            f"{launches / count:,.0f}",
            f"{busy / whole:.0%}",
        )


def memory(options: Options, device: torch.device) -> Iterator[Row]:
    """What :func:`gan.memory.peak_bytes` tells, and what the allocator has given at most."""
    yield "size", "batch", "told MiB", *(f"used MiB, {way}" for way in (WAYS[0], WAYS[2]))
    for size, batch in itertools.product(options.sizes, options.batches):
        shape = Shape(size, 3, CLASSES, LATENTS, options.width)
        told = peak_bytes(Config(kimg=1, batch_size=batch, width=options.width, latent_dim=LATENTS), shape, device)
        used = [peak(options, device, size, batch, way) for way in (WAYS[0], WAYS[2])]
        yield str(size), str(batch), f"{told >> 20:,}", *used


def peak(options: Options, device: torch.device, size: int, batch: int, way: str) -> str:
    """MiB that an iteration takes at most."""
    if device.type != "cuda":
        return "-"
    torch.cuda.empty_cache()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    gone(trainer(options, device, size, batch, way), WARM_UP + 2)
    wait(device)
    return f"{torch.cuda.max_memory_allocated() - before >> 20:,}"


def drawing(options: Options, device: torch.device) -> Iterator[Row]:
    """Images a second of the sampler, to bytes on the CPU; and whether they are those of the processor."""
    yield "size", "images/s", "levels that differ from the CPU's by more than 1"
    for size in options.sizes:
        run = trainer(options, device, size, 8)
        sampler = Sampler(run.ema, 0, device)
        count = 64 if options.dry_run else 512
        each = count * rate(lambda: sampler.draw(1, 0, count), device, options.seconds / 4)  # noqa: B023
        here = sampler.draw(1, 0, 64).int()
        there = Sampler(run.ema.cpu(), 0).draw(1, 0, 64).int()
        yield str(size), f"{each:,.0f}", f"{((here - there).abs() > 1).float().mean():.2%}"


def classifiers(options: Options, device: torch.device) -> Iterator[Row]:
    """Seeds of one arm, trained one after the other and together; where the pipeline's packages are installed."""
    from pipeline.classifier import training
    from pipeline.classifier.network import SmallResNet

    yield "seeds", "one by one, steps/s of each", "together", "times as fast"
    count, steps, size = 8, 4 if options.dry_run else 60, options.sizes[0]
    images, width = data(size), options.width
    tasks = [training.Task(images.images, images.labels, seed) for seed in range(count)]
    seconds = []
    for group in (1, count):
        for turn in range(2):  # the first warms up
            networks = [SmallResNet(CLASSES, 3, size, width=width, seed=seed).to(device) for seed in range(count)]
            began = time.perf_counter()
            for start in range(0, count if turn else group, group):
                some = slice(start, start + group)
                training.fit_all(networks[some], tasks[some], steps=steps)
            wait(device)
            spent = time.perf_counter() - began
        seconds.append(spent)
    alone, together = (count * steps / one for one in seconds)
    yield str(count), f"{alone:,.0f}", f"{together:,.0f}", f"{together / alone:.1f}"


PARTS: dict[str, Callable[[Options, torch.device], Iterator[Row]]] = {
    "Speed": speed,
    "Traffic": traffic,
    "Right": right,
    "Memory": memory,
    "Drawing": drawing,
    "Classifiers": classifiers,
    "CIFAR-10": cifar,
}


def parsed() -> Options:
    """The options; a dry run has its own sizes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--seconds", type=float, default=4, help="for each speed")
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--sizes", type=int, nargs="+", default=[32])
    parser.add_argument("--batches", type=int, nargs="+", default=[64, 256])
    parser.add_argument("--cifar", type=Path, metavar="PATH", help="CIFAR-10, see training/cifar.py")
    parser.add_argument("--cifar-seconds", type=float, default=60, help="of training, for each of the two loops")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--dry-run", action="store_true")
    options = parser.parse_args()
    if options.dry_run:
        options.device, options.seconds, options.width = "cpu", 0.02, 4
        options.sizes, options.batches, options.cifar_seconds = [8], [4, 8], 1.0
        compiler = torch.compile
        torch.compile = lambda function, **more: compiler(function, backend="eager", **more)  # nothing is compiled
    return options


def main() -> int:
    """Prints the parts asked for; 1 if one of them failed."""
    options = parsed()
    device = torch.device(options.device)
    has_bfloat16 = device.type != "cuda" or torch.cuda.is_bf16_supported(including_emulation=False)
    options.precision = "bfloat16" if has_bfloat16 else "float32"
    name = torch.cuda.get_device_name() if device.type == "cuda" else "processor"
    print(f"## {name}, torch {torch.__version__}, width {options.width}, {options.precision}, `benchmarks/gpu.py`")
    failed, began = 0, time.perf_counter()
    for title in options.only:
        part = PARTS[title]
        print(f"\n### {title}\n\n{(part.__doc__ or '').strip()}\n", flush=True)
        try:
            for number, row in enumerate(part(options, device)):
                print(f"| {' | '.join(row)} |", flush=True)
                if number == 0:
                    print(f"| {' | '.join('---' for _ in row)} |", flush=True)
        except Exception:  # the other parts are still worth their time
            failed = 1
            print(f"\nfailed:\n\n```\n{traceback.format_exc()}```", flush=True)
        print(f"\n({time.perf_counter() - began:.0f} s by then)", file=sys.stderr, flush=True)
    return failed


if __name__ == "__main__":
    sys.exit(main())
