"""Makes ``data/digits.zip``, the embedded set: scikit-learn's 1,797 handwritten digits of 8x8 pixels.

``python -m data.digits [FILE]`` writes the same bytes wherever the same Pillow and zlib run.
"""

import io
import sys
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

DIGITS = Path("data/digits.zip")
EPOCH = (1980, 1, 1, 0, 0, 0)
LEVELS = 16


def write_digits(path: Path) -> None:
    """Writes ``<class>/<index>.png``, 8-bit grey: the set's levels 0..16 spread over 0..255."""
    from sklearn.datasets import load_digits  # needed here alone, and slow to import

    digits = load_digits()
    images = np.rint(digits.images * (255 / LEVELS)).astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for index in np.lexsort((np.arange(len(images)), digits.target)):
            file = io.BytesIO()
            Image.fromarray(images[index]).save(file, "PNG", optimize=True)
            member = zipfile.ZipInfo(f"{digits.target[index]}/{index:04d}.png", EPOCH)
            member.create_system, member.external_attr = 3, 0o644 << 16  # the same on every platform
            archive.writestr(member, file.getvalue())


if __name__ == "__main__":
    write_digits(Path(sys.argv[1]) if len(sys.argv) > 1 else DIGITS)
