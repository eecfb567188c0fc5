"""Why two preprocessings differ: each is read by what it makes of probes, confirmed, and compared on a picture."""

from __future__ import annotations

from xconv.probing.named import is_preprocessing
from xconv.probing.run import diagnose_preprocessing

__all__ = ["diagnose_preprocessing", "is_preprocessing"]
