"""The Inception network of 2015 as ported by torch-fidelity: the only embedder whose figures are FID and IS."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gan.files import sha256
from pipeline.errors import UserError
from pipeline.metrics.embedders.pretrained import embed_in_batches, weights_file

SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
DOWNLOAD = "download"


@dataclass(frozen=True)
class InceptionEmbedder:
    """2,048 features of the last pooling, after the original resize to 299x299 (Heusel et al. 2017).

    Attributes:
        name: ``inception:`` and 12 hex digits of the SHA-256 of its weights.
    """

    name: str
    network: Any

    def embed(self, images: np.ndarray) -> np.ndarray:
        """Features, float32 (N, 2048), of uint8 images (N, C, H, W)."""
        return embed_in_batches(lambda batch: self.network(batch)[0], images)

    def logits(self, embedded: np.ndarray) -> np.ndarray:
        """The logits without bias that the Inception score is taken from: float32 (N, 1008) of features (N, 2048)."""
        return (torch.from_numpy(embedded) @ self.network.fc.weight.T).numpy()


def open_inception(weights: str | None, expected: str = SHA256) -> InceptionEmbedder:
    """Opens the network, once its weights are known to be the right ones.

    Args:
        weights: the file, or ``download`` to fetch it once into torch's cache from where torch-fidelity has it.
        expected: SHA-256 of the file; any other network's distance may not be called FID.

    Raises:
        UserError: torch-fidelity or the weights are missing, or they are other weights.
    """
    try:
        from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3, FeatureExtractorInceptionV3
    except ImportError:
        raise UserError("torch-fidelity is missing; install augmint[inception]") from None
    path = _downloaded(URL_INCEPTION_V3) if weights == DOWNLOAD else weights_file("inception", weights)
    found = sha256(path)
    if found != expected:
        raise UserError(
            f"evaluate.weights: {path}: SHA-256 {found[:12]}… is not that of the Inception network of 2015 "
            f"({expected[:12]}…), and no other may be called FID; name the file {Path(URL_INCEPTION_V3).name}"
        )
    network = FeatureExtractorInceptionV3("inception-v3-compat", ["2048"], feature_extractor_weights_path=str(path))
    return InceptionEmbedder(f"inception:{found[:12]}", network)


def _downloaded(url: str) -> Path:
    path = Path(torch.hub.get_dir()) / "checkpoints" / Path(url).name
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            torch.hub.download_url_to_file(url, str(path), hash_prefix=SHA256, progress=False)
        except (OSError, RuntimeError) as error:
            raise UserError(
                f"the download of {url} failed ({error}); fetch it by hand and give its path under evaluate.weights"
            ) from None
    return path
