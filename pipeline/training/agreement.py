"""Processes that share each batch must begin with the same.

On one machine they do. Of several, one may have another set, another params.yaml or another torch, and nothing would
fail: each would take its part of other images, and the mean of all gradients would be that of no run.
"""

import socket
from collections.abc import Callable
from typing import NamedTuple

from gan.ranks import Ranks
from pipeline.errors import UserError
from pipeline.identity import key
from pipeline.training.setup import HOW, TrainingSetup
from pipeline.workers.visiting import versions


class Said(NamedTuple):
    """What a process tells the others: where it is, what it has by name, or why it cannot begin."""

    host: str
    facts: dict[str, str]
    error: str


def agreed(ranks: Ranks, begin: Callable[[], TrainingSetup], seed: int) -> TrainingSetup:
    """What ``begin`` gives, once every process has it, and has the same.

    Raises:
        UserError: as ``begin``, here or in another process, or what they have differs; in all of them.
    """
    if ranks.alone:
        return begin()
    setup: TrainingSetup | None = None
    failed: UserError | None = None
    try:
        setup = begin()
    except UserError as error:
        failed = error
    said = ranks.gather(Said(socket.gethostname(), _facts(setup, seed) if setup else {}, str(failed or "")))
    if failed:
        raise failed
    for number, one in enumerate(said):
        if one.error:
            raise UserError(f"train: process {number} on {one.host}: {one.error}")
    for number, one in enumerate(said):
        if differing := [name for name, value in said[0].facts.items() if one.facts[name] != value]:
            verb = "is" if len(differing) == 1 else "are"
            raise UserError(
                f"train: process {number} on {one.host} does not have what process 0 on {said[0].host} has: "
                f"{' and '.join(differing)} {verb} another there; bring the same project and the same installation to "
                "every machine, and start all of them again"
            )
    assert setup is not None
    return setup


def _facts(setup: TrainingSetup, seed: int) -> dict[str, str]:
    """What has to be the same, by the name that a message gives it."""
    params = setup.params.model_dump(mode="json", exclude=HOW)
    return {
        "params.yaml": key(params=params, seed=seed),
        "data/store": key(data=setup.data),
        "train.init_from": key(origin=setup.origin and setup.origin.described()),
        "the device or its precision": f"{setup.device.type} {setup.config.precision}",
        **{name: version for name, version in versions().items() if name in ("augmint", "torch")},
    }
