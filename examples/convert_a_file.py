"""Converts a Keras file to a PyTorch file, without Keras and without TensorFlow.

python examples/convert_a_file.py model.keras model.safetensors
"""

from __future__ import annotations

import sys

import xconv


def main(source: str, target: str) -> int:
    """Reads `source` (.keras or .h5), writes `target` (.safetensors, .pt2 or .pt) and prints what the module takes."""
    try:
        module = xconv.keras_to_torch(source)
        xconv.save(module, target)
    except xconv.XConvError as error:
        print(error, file=sys.stderr)
        return 2
    for port in xconv.record(module).inputs:
        print(f"input {port.name}: {port.shape} in the Keras file, axes {port.order} of it in the module")
    return 0


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
