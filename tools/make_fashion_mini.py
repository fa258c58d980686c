"""Cut the embedded subset of Fashion-MNIST out of the original four files.

apt-get download dataset-fashion-mnist && dpkg-deb -x dataset-fashion-mnist*.deb x
python tools/make_fashion_mini.py x/usr/share/datasets/fashion-mnist
"""

from __future__ import annotations

import gzip
import sys
from pathlib import Path

import numpy as np

from nmlib._files import rename_into
from nmlib.rng import Rng

HERE = Path(__file__).parent.parent / "nmlib" / "data" / "fashion_mini"


def read(path: Path, header: int) -> np.ndarray:
    return np.frombuffer(gzip.decompress(path.read_bytes())[header:], np.uint8)


def main(source: Path) -> None:
    for split, stem, per_class in (("train", "train", 600), ("test", "t10k", 200)):
        labels = read(source / f"{stem}-labels-idx1-ubyte.gz", 8)
        images = read(source / f"{stem}-images-idx3-ubyte.gz", 16).reshape(-1, 28, 28)
        rng = Rng(0).fold("fashion-mini", split).numpy()
        # Round after round one image of each class: every prefix is nearly balanced.
        columns = [rng.permutation(np.flatnonzero(labels == k))[:per_class] for k in range(10)]
        rounds = np.stack(columns, 1)
        chosen = np.concatenate([rng.permutation(r) for r in rounds]).astype(np.uint16)
        with rename_into(HERE / f"{split}.npz") as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, images=images[chosen], labels=labels[chosen], index=chosen)
        print(split, len(chosen), (HERE / f"{split}.npz").stat().st_size, "bytes")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
