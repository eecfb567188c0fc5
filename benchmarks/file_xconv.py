"""From a `.keras` file to a torch module, nothing else. Run as `-m`, with the path."""

from __future__ import annotations

import sys

import xconv


def main() -> None:
    xconv.keras_to_torch(sys.argv[1])


if __name__ == "__main__":
    main()
