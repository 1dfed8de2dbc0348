"""A classifier that nobody trained, as `classify` leaves one."""

from pathlib import Path
from typing import Any

from pipeline.classifier.network import SmallResNet
from pipeline.classifier.shipped import save_shipped

WIDTH = 4


def ship(
    folder: Path,
    classes: tuple[str, ...] = ("cat", "dog", "owl"),
    channels: int = 3,
    size: int = 8,
    made_from: list[dict[str, str]] | None = None,
    **changes: Any,
) -> SmallResNet:
    """Writes it into ``folder``; keys of the card's ``images`` may be given as they stand there."""
    network = SmallResNet(len(classes), channels, size, width=WIDTH, seed=1)
    images = {"colour": "auto", "fit": "crop", "grey_range": "auto", "levels": None}
    images |= {key: changes.pop(key) for key in list(changes) if key in images}
    content: dict[str, Any] = {
        "classes": list(classes),
        "images": images | {"image_size": size, "channels": channels},
        "architecture": {"classifier": "small-resnet", "width": WIDTH, "module": ""},
        "logit_offsets": [0.0] * len(classes),
    }
    save_shipped(folder, network, content | changes, made_from or [])
    return network.eval()
