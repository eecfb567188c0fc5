"""`python -m xconv` is the command `xconv`."""

from __future__ import annotations

from xconv.cli import main

if __name__ == "__main__":
    main()
