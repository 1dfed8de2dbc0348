"""What the card of a recommended classifier says, as far as `augmint recipe` asks."""

from typing import Any

SECOND = {
    "images": "synthetic",
    "dose": 1.0,
    "by_class": [0, 40],
    "exported": [0, 40],
    "batch_size": 64,
    "weight": 0.5,
    "steps": 160,
    "alone": False,
    "own_norms": False,
    "copies_share": 0.0,
}
COPIES = SECOND | {"images": "copies", "copies_share": 1.0}


def card(**changes: Any) -> dict[str, Any]:
    """A card; keys of ``training``, ``images`` and ``architecture`` may be given as they stand there."""
    parts: dict[str, dict[str, Any]] = {
        "training": {
            "balance": "none",
            "augment": "none",
            "mix": "none",
            "flips": "none",
            "head": "joint",
            "tau": 0.0,
            "head_steps": 0,
            "lr": 0.02,
            "weight_decay": 0.05,
            "steps": 160,
            "warm_up": 0.2,
            "batch_size": 64,
            "weights": "",
            "second_pass": None,
        },
        "images": {
            "image_size": 8,
            "channels": 1,
            "colour": "auto",
            "fit": "crop",
            "grey_range": "auto",
            "levels": None,
        },
        "architecture": {"classifier": "small-resnet", "width": 16, "module": ""},
    }
    for part in parts.values():
        part.update({key: changes.pop(key) for key in list(changes) if key in part})
    accuracy = {
        "test": 0.9134,
        "test_ci95": [0.89, 0.932],
        "plain_test": 0.84,
        "seeds": 6,
        "seed_validation": 0.9,
        "seed_test": 0.91,
    }
    return {
        "augmint": "0.1.0",
        "recipe": "oversampling + RandAugment",
        "classes": ["a", "b"],
        "logit_offsets": [0.0, 0.0],
        "accuracy": accuracy,
        **parts,
        **changes,
    }
