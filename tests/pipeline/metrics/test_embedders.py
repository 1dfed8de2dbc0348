"""Embedders with weights of their own: here random ones of the right shape, because the real ones are large."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch_fidelity.feature_extractor_inceptionv3 as reference
from torch import nn
from torchvision import models

from gan.files import sha256
from pipeline.errors import UserError
from pipeline.metrics.embedders import open_embedder, open_embedders
from pipeline.metrics.embedders.domain import train_domain_embedder
from pipeline.metrics.embedders.inception import SHA256, open_inception
from pipeline.metrics.embedders.vision import open_vision
from pipeline.metrics.inception_score import inception_score
from pipeline.params import load_params
from pipeline.store import Store

MODEL = "mobilenet_v3_small"


class Blank(reference.FeatureExtractorInceptionV3):
    """torch-fidelity's network, which leaves its random weights as they are."""

    def load_state_dict(self, state_dict, strict=True, assign=False):  # type: ignore[no-untyped-def]
        return None


@pytest.fixture(scope="module")
def inception_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("inception")
    torch.save({}, folder / "none.pth")
    torch.manual_seed(0)
    network = Blank("blank", ["2048"], feature_extractor_weights_path=folder / "none.pth")
    torch.save(network.state_dict(), folder / "weights.pth")
    return folder / "weights.pth"


@pytest.fixture(scope="module")
def vision_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("vision") / "weights.pth"
    torch.save(models.get_model(MODEL, weights=None).state_dict(), path)
    return path


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (3, 3, 16, 16), dtype=np.uint8)


def test_inception_gives_torch_fidelitys_features_and_logits(inception_file: Path, images: np.ndarray) -> None:
    embedder = open_inception(str(inception_file), expected=sha256(inception_file))
    assert embedder.name == f"inception:{sha256(inception_file)[:12]}"
    layers = ["2048", "logits_unbiased"]
    network = reference.FeatureExtractorInceptionV3("x", layers, feature_extractor_weights_path=str(inception_file))
    features, logits = (values.numpy() for values in network(torch.from_numpy(images)))
    found = embedder.embed(images)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, features, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(embedder.logits(found), logits, rtol=1e-4, atol=1e-5)
    grey = images[:1, :1]
    np.testing.assert_array_equal(embedder.embed(grey), embedder.embed(np.repeat(grey, 3, axis=1)))


def test_inception_score_equals_torch_fidelitys() -> None:
    from torch_fidelity.metric_isc import KEY_METRIC_ISC_MEAN, isc_features_to_metric

    logits = 3 * np.random.default_rng(0).normal(size=(200, 12)).astype(np.float32)
    parts = np.concatenate([logits[start::10] for start in range(10)])
    expected = isc_features_to_metric(torch.from_numpy(parts), splits=10, shuffle=False)[KEY_METRIC_ISC_MEAN]
    assert inception_score(logits) == pytest.approx(expected, rel=1e-6)
    assert inception_score(np.zeros((50, 4))) == 1


def test_other_weights_may_not_be_called_inception(inception_file: Path) -> None:
    with pytest.raises(UserError, match="may be called FID"):
        open_embedder("inception", str(inception_file))
    assert len(SHA256) == 64


def test_vision_gives_what_the_last_layer_is_given(vision_file: Path, images: np.ndarray) -> None:
    embedder = open_vision(MODEL, str(vision_file))
    assert embedder.name == f"torchvision:{MODEL}:{sha256(vision_file)[:12]}"
    whole = models.get_model(MODEL, weights=None).eval()
    whole.load_state_dict(torch.load(vision_file, weights_only=True))
    x = nn.functional.interpolate(torch.from_numpy(images) / 255, (224, 224), mode="bilinear", antialias=True)
    x = (x - torch.tensor([0.485, 0.456, 0.406])[:, None, None]) / torch.tensor([0.229, 0.224, 0.225])[:, None, None]
    features = embedder.embed(images)
    last = whole.classifier[-1]
    with torch.inference_mode():
        np.testing.assert_allclose(last(torch.from_numpy(features)), whole(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("kind", "weights", "said"),
    [
        ("inception", None, r"weights are missing; give their file as \{inception: <path>\} under evaluate.weights"),
        ("inception", "nowhere.pth", "nowhere.pth: no such file"),
        ("torchvision:resnet18", None, "weights are missing"),
        ("torchvision:resnet19", None, "did you mean 'resnet18'"),
        ("torchvision:resnet18", "VISION", "no state dict of torchvision's resnet18"),
        ("torchvision:resnet18", "TEXT", "no state dict of torchvision's resnet18"),
        ("torchvision:squeezenet1_1", "SQUEEZE", "does not end in a linear layer"),
    ],
)
def test_what_is_missing_or_wrong_is_said(
    kind: str, weights: str | None, said: str, vision_file: Path, tmp_path: Path
) -> None:
    (tmp_path / "text").write_text("no weights")
    torch.save(models.get_model("squeezenet1_1", weights=None).state_dict(), tmp_path / "squeeze")
    known = {"VISION": vision_file, "TEXT": tmp_path / "text", "SQUEEZE": tmp_path / "squeeze"}
    with pytest.raises(UserError, match=said):
        open_embedder(kind, str(known.get(weights, weights)) if weights else None)


def test_without_torch_fidelity_the_remedy_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch_fidelity.feature_extractor_inceptionv3", None)
    with pytest.raises(UserError, match=r"install augmint\[inception\]"):
        open_embedder("inception", None)


def test_a_failed_download_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(reference, "URL_INCEPTION_V3", (tmp_path / "absent.pth").as_uri())
    with pytest.raises(UserError, match="download of file:"):
        open_embedder("inception", "download")


def test_those_that_cannot_be_opened_leave_a_note_and_the_others_go_on(vision_file: Path) -> None:
    kind = f"torchvision:{MODEL}"
    opened, notes = open_embedders(["domain", "inception", kind], {kind: str(vision_file)})
    assert [embedder.name.rpartition(":")[0] for embedder in opened] == [kind]
    assert len(notes) == 1
    assert notes[0].startswith("No figures by inception: its weights are missing")


def test_domain_is_named_by_its_weights_and_classifies_its_own_features(digits_store: Store) -> None:
    train = digits_store.split("train")
    made = [train_domain_embedder(train.images, train.labels, 10, steps=2, seed=seed) for seed in (0, 0, 1)]
    names = [embedder.name for embedder in made]
    assert names[0] == names[1] != names[2]
    assert names[0].startswith("domain:")
    assert len(names[0]) == len("domain:") + 12
    features = made[0].embed(train.images[:5])
    assert features.shape == (5, 128)
    assert made[0].classify(features).shape == (5,)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("embedders: [domain, clip]", r"params.yaml:2: evaluate.embedders: string should match pattern"),
        ("embedders: [inception]", r"embedders must name domain"),
        ("weights: {clip: x.pth}", r"params.yaml:2: evaluate.weights"),
    ],
)
def test_unknown_embedders_and_the_lack_of_domain_are_refused(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(f"evaluate:\n  {text}\n")
    with pytest.raises(UserError, match=said):
        load_params(path)
    path.write_text("evaluate:\n  embedders: [domain, inception]\n  weights: {'torchvision:resnet18': r.pth}\n")
    assert load_params(path).evaluate.weights == {"torchvision:resnet18": "r.pth"}
