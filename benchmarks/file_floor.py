"""The least that any reader does: import torch, read every array of a file with h5py. Run as `-m`, with the path."""

from __future__ import annotations

import sys

import h5py
import torch  # noqa: F401  its import is what the floor is made of


def main() -> None:
    with h5py.File(sys.argv[1], "r") as file:
        arrays = []
        file.visititems(lambda _, item: arrays.append(item[()]) if isinstance(item, h5py.Dataset) else None)


if __name__ == "__main__":
    main()
