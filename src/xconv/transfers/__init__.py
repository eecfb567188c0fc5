"""Weights of one model into another existing model: a plan found by alignment, carried out whole or not at all."""
