"""Why two models that should agree differ: `diagnose(a, b)`, causes with their measured effects."""
