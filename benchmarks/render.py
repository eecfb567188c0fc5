"""docs/applications.md and docs/performance.md, generated from the results. `python -m benchmarks.render`."""


def performance() -> None:
    """stub"""
