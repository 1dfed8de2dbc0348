"""Weights on disk: the resumable state of a run, and the networks that ship. Safetensors and JSON, never a pickle."""

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from gan.cards import check_weights, read_card, shape_of, sizes_of
from gan.ensemble import Ensemble
from gan.files import regular, sha256
from gan.networks import Network, build


class WeightsError(Exception):
    """A file of weights is missing, damaged, or not what its card says."""


def save_state(path: Path, tensors: dict[str, Tensor], key: str) -> None:
    """Writes a run's state; a kill at any moment leaves this one or the one before, never half of either.

    The state before stays beside the new one, for :func:`load_state` to fall back to.

    Args:
        path: the file.
        tensors: what :meth:`gan.trainer.Trainer.state` gave, and what else a caller keeps.
        key: names the data and parameters that the state belongs to.

    Raises:
        OSError: it cannot be written, as on a full disk; what was there is untouched.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    save_tensors(plain, part, {"key": key, "sha256": _digest(plain)})
    for folder in (path, _before(path)):
        if folder.is_dir():  # no state, and in the way of one
            shutil.rmtree(folder)
    if path.exists():
        path.replace(_before(path))
    part.replace(path)


def save_tensors(tensors: dict[str, Tensor], path: Path, facts: dict[str, str] | None = None) -> None:
    """Writes a safetensors file; what it cannot write in whole it removes.

    Raises:
        OSError: the disk does not take it; has the system's number and the path, which safetensors tells in words.
    """
    try:
        save_file(tensors, path, facts)
    except SafetensorError as error:
        if path.is_file():
            path.unlink()
        number = re.search(r"\(os error (\d+)\)", str(error))
        if number is None:
            raise
        raise OSError(int(number[1]), os.strerror(int(number[1])), str(path)) from None


def load_state(path: Path, key: str, say: Callable[[str], None]) -> dict[str, Tensor] | None:
    """The newest whole state in ``path`` or beside it; ``None`` when none is whole and belongs to ``key``.

    Args:
        path: the file.
        key: see :func:`save_state`.
        say: is told of a state that is damaged.
    """
    for file in (path, _before(path)):
        try:
            tensors = read_state(file, key)
        except WeightsError as error:
            say(f"{error}; taking the one before")
            continue
        if tensors is not None:
            return tensors
    return None


def read_state(path: Path, key: str) -> dict[str, Tensor] | None:
    """The state in one file, or ``None`` when there is no such file or it belongs to another key.

    Raises:
        WeightsError: the file is damaged.
    """
    try:
        with safe_open(regular(path), "pt") as file:
            facts = file.metadata() or {}
            if facts.get("key") != key:
                return None
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        digest = _digest(tensors)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, RuntimeError, SafetensorError) as error:
        raise WeightsError(f"{path}: damaged ({error})") from error
    if facts.get("sha256") != digest:
        raise WeightsError(f"{path}: damaged (its content is not what was written)")
    return tensors


def _before(path: Path) -> Path:
    return path.with_stem(f"{path.stem}.before")


def _digest(tensors: dict[str, Tensor]) -> str:
    """SHA-256 over names, types, shapes and bytes, in the order of the names."""
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def save_network(folder: Path, part: str, network: Network, card: dict[str, Any]) -> str:
    """Writes ``<part>.safetensors`` and its card ``<part>.json``.

    Args:
        folder: where to, made if need be.
        part: ``generator`` or ``critic``.
        network: built by :func:`gan.networks.build`.
        card: what else its reader should know; must hold ``family``.

    Returns:
        The SHA-256 of the weights' file, which the card holds too.

    Raises:
        OSError: they cannot be written, as on a full disk.
    """
    folder.mkdir(parents=True, exist_ok=True)
    weights = folder / f"{part}.safetensors"
    save_tensors({name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}, weights)
    digest = sha256(weights)
    text = json.dumps(
        card | {"shape": sizes_of(network.shape), "sha256": digest}, indent=2, sort_keys=True, ensure_ascii=False
    )
    (folder / f"{part}.json").write_text(text + "\n", encoding="utf-8")
    return digest


def load_network(folder: Path, part: str) -> tuple[Network, dict[str, Any]]:
    """A shipped network in eval mode, and its card.

    Nothing of the card's sizes is allocated before the weights' own header has them too; see :mod:`gan.cards`.

    Raises:
        WeightsError: a file is missing or damaged, or the weights are not those of the card; its cause is a
            :class:`gan.cards.FormerError` where an earlier version made them.
    """
    weights, card_file = folder / f"{part}.safetensors", folder / f"{part}.json"
    try:
        card = read_card(card_file)
        check_weights(weights, card, part)
        if sha256(weights) != card["sha256"]:
            raise WeightsError(f"{weights}: not the weights that {card_file} describes")
        network = build(card["family"], part, shape_of(card, card_file))
        network.load_state_dict(load_file(weights))
    except (OSError, ValueError, TypeError, RuntimeError, ArithmeticError, SafetensorError) as error:
        raise WeightsError(f"{folder}: no usable {part} ({str(error).partition(chr(10))[0]})") from error
    return network.eval().requires_grad_(False), card


def load_generator(folder: Path) -> tuple[Network, dict[str, Any]]:
    """The generator in ``folder`` and its card; see :func:`load_network`.

    A card whose ``members`` lists the SHA-256 of further generators makes it an :class:`gan.ensemble.Ensemble` with
    those in the folders that :func:`member_folder` names; the card's ``sha256`` is then that of all together.

    >>> import tempfile
    >>> from gan.networks import Shape
    >>> network = build("resnet", "generator", Shape(8, 1, classes=2, latent_dim=4, width=4))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = save_network(Path(folder), "generator", network, {"family": "resnet", "classes": ["cat", "dog"]})
    ...     load_generator(Path(folder))[1]["classes"]
    ['cat', 'dog']

    Raises:
        WeightsError: as there, or a member is not the one that the card lists.
    """
    first, card = load_network(folder, "generator")
    if not card.get("members"):
        return first, card
    members = [first]
    for index, digest in enumerate(card["members"], start=1):
        member, of_member = load_network(member_folder(folder, index), "generator")
        if of_member["sha256"] != digest:
            raise WeightsError(f"{member_folder(folder, index)}: not the member that {folder} lists")
        members.append(member)
    return Ensemble(members), card | {"sha256": joined([card["sha256"], *card["members"]])}


def member_folder(folder: Path, index: int) -> Path:
    """Where member ``index`` of an ensemble lies; the first one is in the folder itself."""
    return folder / f"member_{index}" if index else folder


def joined(digests: list[str]) -> str:
    """SHA-256 of several digests in a row, as 64 hex digits; a single one stands for itself."""
    return digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()


def load_critic(folder: Path) -> tuple[Network, dict[str, Any]]:
    """The critic in ``folder`` and its card; see :func:`load_network`."""
    return load_network(folder, "critic")
