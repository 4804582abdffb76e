"""The terminal: one console for results, one for messages.

What is printed is data more often than not, in which `[quiet]` and `:warning:` are text: neither
console reads markup. A style of ours is a `rich.text.Text`.
"""

from __future__ import annotations

from typing import Final

from rich.console import Console

console: Final = Console(markup=False, emoji=False)
"""Results, on standard output."""

messages: Final = Console(stderr=True, markup=False, emoji=False)
"""Progress and errors, on standard error."""


def print_error(error: Exception) -> None:
    """One readable line."""
    messages.print(f"error: {error}", style="red", highlight=False, soft_wrap=True)
