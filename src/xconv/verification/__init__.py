"""Whether two models are the same function: `verify(a, b)`.

opening.py makes a runner of anything; meaning.py judges in float64, rounding.py in float32, layerwise.py locates.
"""

from xconv.verification.run import verify

__all__ = ["verify"]
