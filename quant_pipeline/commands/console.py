"""The terminal: one console for results, one for messages."""

from __future__ import annotations

from typing import Final

from rich.console import Console

console: Final = Console()
"""Results, on standard output."""

messages: Final = Console(stderr=True)
"""Progress and errors, on standard error."""


def print_error(error: Exception) -> None:
    """One readable line."""
    messages.print(f"error: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
