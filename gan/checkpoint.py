"""Weights on disk: the resumable state of a run, and the networks that ship. Safetensors and JSON, never a pickle."""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from gan.networks import Network, Shape, build


class WeightsError(Exception):
    """A file of weights is missing, damaged, or not what its card says."""


def save_state(path: Path, tensors: dict[str, Tensor], key: str) -> None:
    """Writes a run's state in one step: the file is the old one or the new one, never half of either.

    Args:
        path: the file.
        tensors: what :meth:`gan.trainer.Trainer.state` gave.
        key: names the data and parameters that the state belongs to.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, part, {"key": key})
    part.replace(path)


def load_state(path: Path, key: str) -> dict[str, Tensor] | None:
    """The state in ``path``, or ``None`` when there is none that is whole and belongs to ``key``."""
    try:
        with safe_open(path, "pt") as file:
            if (file.metadata() or {}).get("key") != key:
                return None
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (FileNotFoundError, SafetensorError):
        return None


def save_network(folder: Path, part: str, network: Network, card: dict[str, Any]) -> str:
    """Writes ``<part>.safetensors`` and its card ``<part>.json``.

    Args:
        folder: where to, made if need be.
        part: ``generator`` or ``critic``.
        network: built by :func:`gan.networks.build`.
        card: what else its reader should know; must hold ``family``.

    Returns:
        The SHA-256 of the weights' file, which the card holds too.
    """
    folder.mkdir(parents=True, exist_ok=True)
    weights = folder / f"{part}.safetensors"
    save_file({name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}, weights)
    digest = sha256(weights)
    text = json.dumps(
        card | {"shape": asdict(network.shape), "sha256": digest}, indent=2, sort_keys=True, ensure_ascii=False
    )
    (folder / f"{part}.json").write_text(text + "\n")
    return digest


def load_network(folder: Path, part: str) -> tuple[Network, dict[str, Any]]:
    """A shipped network in eval mode, and its card.

    Raises:
        WeightsError: a file is missing or damaged, or the weights are not those of the card.
    """
    weights, card_file = folder / f"{part}.safetensors", folder / f"{part}.json"
    try:
        card = json.loads(card_file.read_text())
        if sha256(weights) != card["sha256"]:
            raise WeightsError(f"{weights}: not the weights that {card_file} describes")
        network = build(card["family"], part, Shape(**card["shape"]))
        network.load_state_dict(load_file(weights))
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        raise WeightsError(f"{folder}: no usable {part} ({error})") from error
    return network.eval().requires_grad_(False), card


def load_generator(folder: Path) -> tuple[Network, dict[str, Any]]:
    """The generator in ``folder`` and its card; see :func:`load_network`."""
    return load_network(folder, "generator")


def load_critic(folder: Path) -> tuple[Network, dict[str, Any]]:
    """The critic in ``folder`` and its card; see :func:`load_network`."""
    return load_network(folder, "critic")


def sha256(path: Path) -> str:
    """SHA-256 of a file, as 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
