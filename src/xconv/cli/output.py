"""How the command prints: results on stdout, all else on stderr."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import typer
from rich.console import Console

__all__ = ["print_json", "say", "warn"]

BROKEN_PIPE = 141


def print_json(data: Any) -> None:
    """Plain data as JSON on stdout."""
    say(json.dumps(data, indent=2))


def say(*texts: str) -> None:
    """Text on stdout; where its reader has gone, as `head` does, the command ends without a word."""
    try:
        for text in filter(None, texts):
            sys.stdout.write(f"{text}\n")
        sys.stdout.flush()
    except BrokenPipeError as error:
        # What Python would flush at its end goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(BROKEN_PIPE) from error


def warn(text: str) -> None:
    """One message on stderr, as it is."""
    Console(stderr=True, soft_wrap=True).print(text, markup=False, highlight=False)
