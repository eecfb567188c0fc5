"""Why two models that should agree differ: causes with their measured effects; `run.diagnose` is `xconv.diagnose`."""
