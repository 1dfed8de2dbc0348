"""Which network the arms train: ours, one of torchvision's, or the user's own."""

import importlib
import importlib.util
import sys
from pathlib import Path

import torch
from torch import Tensor, nn

from gan.files import sha256
from gan.layout import keep_contiguous, unsafe_channels_last
from gan.seeds import derive
from pipeline.classifier.network import SmallResNet
from pipeline.errors import UserError
from pipeline.params import ClassifyParams
from pipeline.reading.documents import fault
from pipeline.reading.weights import read_weights

TORCHVISION = "torchvision:"
LEAST_SIDE = 32  # smaller images shrink to nothing in most of torchvision's networks
IMAGENET_MEAN, IMAGENET_DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def build(params: ClassifyParams, root: Path, classes: int, channels: int, image_size: int, seed: int) -> nn.Module:
    """A new classifier: float32 (N, C, H, W) in [-1, 1] -> logits (N, classes).

    Args:
        root: the project's folder, from which ``module:factory`` is imported and ``weights`` is read.
        seed: of the initial weights.

    Raises:
        UserError: no such network, weights that are not its own, or one that does not take these images.
    """
    name = params.classifier
    if name == "small-resnet":
        return SmallResNet(classes, channels, image_size, width=params.width, seed=seed)
    with torch.random.fork_rng():
        torch.manual_seed(derive(seed, "classifier.init"))
        if name.startswith(TORCHVISION):
            network: nn.Module = _torchvision(name.removeprefix(TORCHVISION), params.weights, root, classes)
        else:
            network = _own(name, root, classes, channels, image_size)
    if unsafe_channels_last(network):
        keep_contiguous(network)
    _probe(network, name, classes, channels, image_size)
    return network


def fingerprint(params: ClassifyParams, root: Path) -> str:
    """What the classifier depends on beside the parameters: the SHA-256 of the weights' file or the user's module."""
    if params.weights:
        return sha256(_existing(root / params.weights))
    if ":" in params.classifier and not params.classifier.startswith(TORCHVISION):
        module = params.classifier.partition(":")[0]
        _import_from(root)
        try:
            found = importlib.util.find_spec(module)
        except ImportError:
            found = None
        if found is None or found.origin is None:
            raise UserError(f"classify.classifier: no module {module!r} in {root.resolve()} or installed")
        return sha256(Path(found.origin))
    return ""


class _Adapted(nn.Module):
    """Brings our images to what torchvision's networks take: three channels, 32x32 at least, ImageNet's statistics."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1))
        self.register_buffer("deviation", torch.tensor(IMAGENET_DEVIATION).view(1, 3, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        x = ((images.expand(-1, 3, -1, -1) + 1) / 2 - self.mean) / self.deviation
        if x.shape[-1] < LEAST_SIDE:
            x = nn.functional.interpolate(x, (LEAST_SIDE, LEAST_SIDE), mode="bilinear", antialias=False)
        return self.network(x)


def _torchvision(name: str, weights: str, root: Path, classes: int) -> nn.Module:
    from torchvision import models  # seconds, which ingest's checks would pay too

    try:
        network = models.get_model(name, weights=None, num_classes=classes)
    except ValueError:
        raise UserError(
            f"classify.classifier: torchvision has no model {name!r}; it has {', '.join(models.list_models(models))}"
        ) from None
    if weights:
        _load(network, _existing(root / weights), classes)
    return _Adapted(network)


def _load(network: nn.Module, file: Path, classes: int) -> None:
    """Takes over all weights but those of the last layer where the file's has another number of classes."""
    try:
        state = read_weights(file)
    except (OSError, ValueError) as error:
        raise UserError(f"classify.weights: {file} holds no weights that can be read ({fault(error)})") from None
    own = network.state_dict()
    kept = {key: state[key] for key in own if key in state and state[key].shape == own[key].shape}
    missing = [key for key, value in own.items() if key not in kept and value.shape[:1] != (classes,)]
    if missing:
        raise UserError(f"classify.weights: {file} is not of this network: {missing[0]!r} is missing or another size")
    network.load_state_dict(kept, strict=False)


def _own(name: str, root: Path, classes: int, channels: int, image_size: int) -> nn.Module:
    module, _, factory = name.partition(":")
    _import_from(root)
    try:
        made = getattr(importlib.import_module(module), factory)(classes, channels, image_size)
    except Exception as error:  # it is the user's code: anything can happen
        raise UserError(
            f"classify.classifier: {name}(classes={classes}, channels={channels}, image_size={image_size}) failed: "
            f"{type(error).__name__}: {error}"
        ) from error
    if not isinstance(made, nn.Module):
        raise UserError(f"classify.classifier: {name} gave a {type(made).__name__}, not a torch.nn.Module")
    return made


def _probe(network: nn.Module, name: str, classes: int, channels: int, image_size: int) -> None:
    images = torch.zeros(2, channels, image_size, image_size)
    try:
        with torch.inference_mode():
            shape = tuple(network.eval()(images).shape)
    except Exception as error:  # whatever a network makes of a size that it is not for
        size = f"{image_size}x{image_size}"
        raise UserError(f"classify.classifier: {name} does not take {size} images: {error}") from None
    if shape != (2, classes):
        raise UserError(f"classify.classifier: {name} gives {shape} for 2 images, not logits (2, {classes})")


def _import_from(root: Path) -> None:
    folder = str(root.resolve())
    if folder not in sys.path:
        sys.path.insert(0, folder)


def _existing(file: Path) -> Path:
    if not file.is_file():
        raise UserError(f"classify.weights: {file}: no such file")
    return file
