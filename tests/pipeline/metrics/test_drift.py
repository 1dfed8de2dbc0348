import numpy as np
import pytest

from pipeline.metrics import drift
from pipeline.metrics.bias import CONFUSIONS, confused, confusion, intensity
from pipeline.metrics.drift import class_means, frequencies, mean_shift, spectra, spectrum_drift, tones
from pipeline.metrics.embedded import Embedded
from pipeline.metrics.resampling import subsets


def test_tones_are_mean_and_deviation_of_each_channel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drift, "CHUNK_VALUES", 3 * 48)
    images = np.random.default_rng(0).integers(0, 256, (10, 3, 4, 4), dtype=np.uint8)
    found = tones(images)
    assert found.shape == (10, 2, 3)
    assert found[7, 0, 1] == pytest.approx(images[7, 1].mean())
    assert found[7, 1, 2] == pytest.approx(images[7, 2].std())


def wave(size: int, across: int, down: int, height: float) -> np.ndarray:
    y, x = np.mgrid[:size, :size] / size
    return np.round(128 + height * np.cos(2 * np.pi * (across * x + down * y))).astype(np.uint8)[None, None]


@pytest.mark.parametrize(("across", "down"), [(3, 0), (0, 3), (2, 2)])
def test_a_wave_has_its_power_at_its_frequency(across: int, down: int) -> None:
    """Its variance, height² / 2, is spread over 2 of size² places; the ring takes the mean over its places."""
    size, height = 16, 100.0
    ring = 3  # hypot(2, 2) rounds to 3
    steps = np.fft.fftfreq(size, 1 / size)
    places = (np.rint(np.hypot(steps[:, None], steps)) == ring).sum()
    found = spectra(wave(size, across, down, height))[0]
    assert found.argmax() == ring - 1
    assert 10 ** (found[ring - 1] / 10) == pytest.approx(height**2 / 2 * size**2 / places, rel=0.02)
    assert frequencies(size)[ring - 1] == 3 / 16


def test_white_noise_has_its_variance_at_every_frequency_and_a_flat_image_that_of_rounding() -> None:
    rng = np.random.default_rng(0)
    noise = np.round(128 + 20 * rng.normal(size=(200, 2, 12, 12))).clip(0, 255).astype(np.uint8)
    np.testing.assert_allclose(spectra(noise).mean(axis=0), 10 * np.log10(400), atol=0.4)
    np.testing.assert_allclose(spectra(np.full((1, 1, 9, 9), 7, np.uint8)), 10 * np.log10(1 / 12), atol=1e-6)
    assert spectra(noise[:, :, :9, :9]).shape == (200, 4) == (200, len(frequencies(9)))


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    images = np.random.default_rng(0).integers(0, 256, (7, 3, 8, 8), dtype=np.uint8)
    whole = spectra(images)
    monkeypatch.setattr(drift, "CHUNK_VALUES", 2 * 192)
    np.testing.assert_allclose(spectra(images), whole, rtol=1e-12)


def test_the_drift_of_the_spectrum_is_that_of_noise_by_its_variance_beside_that_of_real_halves() -> None:
    """White noise of twice the deviation has four times the power, which is 6.02 dB, at every frequency."""
    rng = np.random.default_rng(0)
    real, like, louder = (
        np.round(128 + height * rng.normal(size=(n, 1, 10, 10))).clip(0, 255).astype(np.uint8)
        for height, n in ((15, 120), (15, 50), (30, 300))
    )
    found = spectrum_drift(louder, real)
    assert found.synthetic == pytest.approx(20 * np.log10(2), abs=0.3)
    assert 0 < found.floor < 0.6
    assert spectrum_drift(like, real).synthetic < 2 * spectrum_drift(like, real).floor


def test_class_means_and_their_shift_by_hand() -> None:
    means = class_means(np.array([[1.0], [3.0], [10.0]]), np.array([0, 0, 2]), 3)
    np.testing.assert_array_equal(means, [[2], [np.nan], [10]])
    first, second = np.array([[4.0, 0.0], [2.0, 2.0]]), np.array([[0.0, 5.0]])  # means 3, 1 and 0, 5
    assert mean_shift(first, second) == pytest.approx(np.sqrt((9 + 16) / 2))


def test_confusion_counts_asked_by_seen() -> None:
    counts = confusion(np.array([0, 0, 1, 2, 2]), np.array([0, 2, 1, 0, 0]), 3)
    np.testing.assert_array_equal(counts, [[1, 0, 1], [0, 1, 0], [2, 0, 0]])


def test_the_pairs_confused_most_beyond_real_images_are_named_the_worst_first() -> None:
    synthetic, real = np.array([[5, 5, 0], [0, 10, 0], [0, 0, 0]]), np.array([[9, 1, 0], [5, 95, 0], [9, 0, 1]])
    assert confused(synthetic, real, "abc") == [{"asked": "a", "seen": "b", "share": 0.5, "share_real": 0.1}]
    assert confused(real, synthetic, "abc") == [
        {"asked": "c", "seen": "a", "share": 0.9, "share_real": 0},
        {"asked": "b", "seen": "a", "share": 0.05, "share_real": 0},
    ]
    assert len(confused(np.ones((9, 9)), np.eye(9), "abcdefghi")) == CONFUSIONS


def toned(rng: np.random.Generator, shift: np.ndarray, labels: np.ndarray) -> Embedded:
    """Images of which tones alone are known; ``shift`` (2, C) is added to those of class 1."""
    values = rng.normal(100, 5, (len(labels), 2, 3)) + (labels == 1)[:, None, None] * shift
    nothing = np.zeros((len(labels), 1))
    return Embedded(nothing, labels, labels, values, nothing)


def test_intensity_names_the_class_that_drifts_and_how_far() -> None:
    rng, labels = np.random.default_rng(0), np.repeat([0, 1, 2], [80, 80, 80])
    shift = np.zeros((2, 3))
    shift[1, 2] = 30  # contrast of the last channel
    real, drawn = toned(rng, 0 * shift, labels), toned(rng, shift, labels)
    samples = [subsets(labels, labels, rng) for _ in range(10)]
    found = intensity(real, drawn, ["a", "b", "c"], samples)
    assert found["worst_class"] == "b"
    drifted = found["per_class"][1]["contrast"]
    assert drifted["drift"][2] == pytest.approx(30, abs=3)
    assert drifted["ci95"][2][0] < 0 < drifted["ci95"][2][1] < 6
    assert found["contrast"]["drift"][2] == pytest.approx(10, abs=2)
    assert found["contrast"]["synthetic"][2] - found["contrast"]["real"][2] == pytest.approx(10, abs=2)
    assert (
        intensity(real, real, ["a", "b", "c"], [d._replace(synthetic=d.first) for d in samples])["worst_class"] is None
    )


def test_a_class_without_images_has_no_drift() -> None:
    rng, labels = np.random.default_rng(0), np.repeat([0, 1], [40, 40])
    side = toned(rng, np.zeros((2, 3)), labels)
    part = intensity(side, side, ["a", "b", "never"], [subsets(labels, labels, rng) for _ in range(3)])["per_class"][2]
    assert part["mean"] == {"real": [None] * 3, "synthetic": [None] * 3, "drift": [None] * 3, "ci95": [None] * 3}
