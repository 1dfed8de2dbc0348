"""Precision, recall, density and coverage: augmint's against the ``prdc`` package, time and peak memory.

    python benchmarks/metrics.py [rows] [features] [figure ...]

Each runs in a process of its own, three times, the two in turn. Fréchet distance and KID against ``torch-fidelity``
follow. A figure is named by how it begins (precision, Fréchet, KID); without one, all are run. Peak memory is the
process's own, less what it held when the features were ready.
"""

import resource
import subprocess
import sys
import time
from collections.abc import Callable
from statistics import median

import numpy as np
from rich.console import Console
from rich.table import Table

ROUNDS = 3
K = 5


def main() -> None:
    """Prints the table."""
    chosen = tuple(sys.argv[3:]) or ("",)
    rows, features = (int(value) for value in (*sys.argv[1:3], *("10000", "128")[len(sys.argv[1:3]) :]))
    table = Table("figure", "by", "seconds", "peak MiB", "times as fast", title=f"{rows:,} x {rows:,} x {features}")
    for figure, ours, theirs in (
        ("precision, recall, density, coverage", "augmint", "prdc"),
        ("Fréchet distance", "augmint", "torch-fidelity"),
        ("KID, all rows at once", "augmint", "torch-fidelity"),
    ):
        if not figure.startswith(chosen):
            continue
        results: dict[str, list[tuple[float, float]]] = {ours: [], theirs: []}
        for _ in range(ROUNDS):
            for name, result in results.items():
                result.append(_in_process(figure, name, rows, features))
        slow = median(seconds for seconds, _ in results[theirs])
        for name, result in results.items():
            seconds, peak = median(r[0] for r in result), max(r[1] for r in result)
            table.add_row(figure, name, f"{seconds:.2f}", f"{peak:,.0f}", f"{slow / seconds:.1f}")
    Console().print(table)


def _in_process(figure: str, name: str, rows: int, features: int) -> tuple[float, float]:
    command = [sys.executable, __file__, "--one", figure, name, str(rows), str(features)]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    seconds, peak = output.splitlines()[-1].split()
    return float(seconds), float(peak)


def _one(figure: str, name: str, rows: int, features: int) -> None:
    rng = np.random.default_rng(0)
    real = rng.normal(size=(rows, features)).astype(np.float32)
    synthetic = (0.9 * rng.normal(size=(rows, features)) + 0.1).astype(np.float32)
    function = _function(figure, name)
    function(real[:500], synthetic[:500])
    before = _peak_mib()
    start = time.perf_counter()
    function(real, synthetic)
    print(time.perf_counter() - start, _peak_mib() - before)


def _function(figure: str, name: str) -> Callable[[np.ndarray, np.ndarray], object]:
    import torch

    if name == "augmint":
        from pipeline.metrics.frechet import frechet_distance
        from pipeline.metrics.kid import kid
        from pipeline.metrics.manifold import manifold

        return {"p": lambda a, b: manifold(a, b, K), "F": frechet_distance, "K": kid}[figure[0]]
    if name == "prdc":
        from prdc import compute_prdc

        return lambda a, b: compute_prdc(a, b, K)
    from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
    from torch_fidelity.metric_kid import kid_features_to_metric

    def frechet(a: np.ndarray, b: np.ndarray) -> object:
        first, second = (fid_features_to_statistics(torch.from_numpy(x)) for x in (a, b))
        return fid_statistics_to_metric(first, second, False)

    def kernel(a: np.ndarray, b: np.ndarray) -> object:
        sets = (torch.from_numpy(x).double() for x in (a, b))
        return kid_features_to_metric(*sets, kid_subsets=1, kid_subset_size=len(a), verbose=False)

    return {"F": frechet, "K": kernel}[figure[0]]


def _peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        _one(sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5]))
    else:
        main()
