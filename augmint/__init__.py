"""What a notebook or a training script needs of augmint.

>>> from augmint import SyntheticImages, SyntheticStream, open_store, read_verdict

The names below are stable: they change only with a new major version, and what is behind them is imported when it is
first asked for. All else lies in the packages ``gan`` (the networks and their training, PyTorch alone) and ``pipeline``
(everything around it), and may move.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from augmint.project import Verdict, open_store, read_verdict
    from gan.synthetic_images import SyntheticImages, SyntheticStream
    from pipeline.errors import UserError
    from pipeline.store import Split, Store

__all__ = [
    "Split",
    "Store",
    "SyntheticImages",
    "SyntheticStream",
    "UserError",
    "Verdict",
    "open_store",
    "read_verdict",
]

_WHERE = {
    "Split": "pipeline.store",
    "Store": "pipeline.store",
    "SyntheticImages": "gan.synthetic_images",
    "SyntheticStream": "gan.synthetic_images",
    "UserError": "pipeline.errors",
    "Verdict": "augmint.project",
    "open_store": "augmint.project",
    "read_verdict": "augmint.project",
}


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'augmint' has no attribute {name!r}; it has {', '.join(__all__)}")
    return getattr(importlib.import_module(_WHERE[name]), name)


def __dir__() -> list[str]:
    return __all__
