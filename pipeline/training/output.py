"""What a finished run leaves: networks with their cards, curves, pictures and figures."""

import math
from pathlib import Path
from typing import Any

from gan.checkpoint import save_network
from gan.networks import Network
from gan.trainer import FIGURES
from pipeline.progress import say
from pipeline.tables import write_csv
from pipeline.training.run import Run
from pipeline.training.snapshots import LEAST, Snapshot
from pipeline.training.watch import COLUMNS

DIGITS = 6


def ship(run: Run, folder: Path, others: list[str]) -> dict[str, Any]:
    """Writes the chosen averaged generator and the last critic with their cards; returns the figures for DVC.

    Args:
        run: a finished one.
        folder: where to.
        others: SHA-256 of the further generators of its ensemble.
    """
    kimg = run.kimg
    chosen = run.album.load_best(run.trainer.ema)
    say(_told(chosen, kimg))
    members = {"members": others} if others else {}
    card = run.card("generator") | members | {"kimg": chosen.images / 1000 if chosen else kimg}
    digest = save_network(folder, "generator", run.trainer.ema, card)
    save_network(folder, "critic", run.trainer.critic, run.card("critic"))
    last = dict(zip(FIGURES, run.watch.curve[-1][1 : 1 + len(FIGURES)].tolist(), strict=True))
    return {
        "kimg": kimg,
        "iterations": run.trainer.done,
        "settled": {
            "recipe": run.setup.params.recipe,
            **{name: getattr(run.setup.config, name) for name in ("family", "loss", "penalty")},
        },
        "precision": run.setup.config.precision,
        "generator": digest,
        "generator_parameters": _size(run.trainer.ema),
        "critic_parameters": _size(run.trainer.critic),
        "snapshot": _snapshot(run, chosen),
        "health": _health(run),
        "rollbacks": run.rollbacks,
        **{name: _rounded(value) for name, value in last.items()},
    }


def plot(run: Run, folder: Path) -> None:
    """Writes the curves and the sample grids, that of what ships as ``samples.png``."""
    grids = folder / "grids"
    grids.mkdir(parents=True)
    curve = run.watch.curve
    rows = (["" if math.isnan(value) else f"{value:.{DIGITS}g}" for value in row.tolist()] for row in curve)
    write_csv(folder / "curves.csv", COLUMNS, rows)
    for picture in run.pictures.taken():
        (grids / picture.name).write_bytes(picture.read_bytes())
    run.pictures.samples(run.trainer.ema).save(folder / "samples.png")


def _snapshot(run: Run, chosen: Snapshot | None) -> dict[str, Any]:
    if chosen is None:
        return {"kimg": run.kimg, "kid": None, "standard_error": None, "coverage": None, "of": []}
    return chosen.described() | {"of": [one.described() for one in run.album.taken]}


def _told(chosen: Snapshot | None, kimg: float) -> str:
    if chosen is None:
        return f"train: the last generator ships: fewer than {LEAST} images in the val split tell no snapshots apart"
    return (
        f"train: ships the generator of {chosen.images / 1000:.1f} of {kimg:.1f} kimg: "
        f"KID {chosen.kid:.4f} ± {chosen.standard_error:.4f}, coverage {chosen.coverage:.3f} on the val split"
    )


def _health(run: Run) -> list[dict[str, Any]]:
    return [
        {
            "signal": alarm.sign.name,
            "kimg": _rounded(alarm.kimg),
            "until": None if alarm.until is None else _rounded(alarm.until),
            "value": _rounded(alarm.value),
            "remedy": alarm.sign.remedy,
        }
        for alarm in run.watch.monitor.alarms
    ]


def _rounded(value: float) -> float | None:
    return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None


def _size(network: Network) -> int:
    return sum(parameter.numel() for parameter in network.parameters())
