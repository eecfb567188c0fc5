"""The suite, in three tiers: words (no framework), layers, models."""
