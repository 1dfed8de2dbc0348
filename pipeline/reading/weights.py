"""Weights that a user names: safetensors, or what ``torch.save`` left of a state dict, never anything that runs."""

import zipfile
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from gan.files import regular


def read_weights(path: Path) -> dict[str, Tensor]:
    """Tensors by name; those of a file that ``torch.save`` made stay in it until they are used.

    Raises:
        OSError: it cannot be read.
        ValueError: it holds no state dict, or unpacks to more than it is.
    """
    regular(path)
    try:
        state = load_file(path) if path.suffix == ".safetensors" else _unpickled(path)
    except OSError:
        raise
    except Exception as error:  # torch.load raises whatever a damaged file provokes
        raise ValueError(str(error).partition("\n")[0] or type(error).__name__) from None
    if not isinstance(state, dict) or not all(isinstance(one, Tensor) for one in state.values()):
        raise ValueError("holds no state dict, which is a tensor for each name")
    return state


def _unpickled(path: Path) -> Any:
    packed = zipfile.is_zipfile(path)
    if packed:
        with zipfile.ZipFile(path) as archive:
            if any(member.compress_type != zipfile.ZIP_STORED for member in archive.infolist()):
                raise ValueError("is packed, which torch.save never does")
    return torch.load(path, map_location="cpu", weights_only=True, mmap=packed)
