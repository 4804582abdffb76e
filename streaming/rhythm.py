"""Which symbols have been silent longer than is usual for them. No I/O, no clock."""

from __future__ import annotations

from collections.abc import Mapping

_SMOOTHING = 0.1
_LONGEST_CHECK_S = 3600.0


class Rhythm:
    """Learns each symbol's usual trade rate and tells who is overdue.

    Silence is suspicious after `factor` usual intervals, but not before `shortest_s`. A symbol
    that was checked and found quiet is suspicious again after twice as long, up to an hour.

    Args:
        names: the symbols.
        now_s: when watching starts, in seconds of a steady clock.
    """

    def __init__(
        self, names: tuple[str, ...], now_s: float, *, shortest_s: float, factor: float = 20.0
    ) -> None:
        self._shortest_s = shortest_s
        self._factor = factor
        self._last_s = dict.fromkeys(names, now_s)
        self._interval_s = dict.fromkeys(names, 0.0)  # 0: no trade yet
        self._rate = dict.fromkeys(names, 0.0)
        self._patience = dict.fromkeys(names, 1.0)
        self._checked_s = dict.fromkeys(names, now_s)
        self._noted_s = now_s

    def note(self, counts: Mapping[str, int], now_s: float) -> None:
        """Take in how many trades each symbol had since the last call (absent: none)."""
        elapsed = max(now_s - self._noted_s, 1e-6)
        self._noted_s = now_s
        for name, rate in self._rate.items():
            count = counts.get(name, 0)
            self._rate[name] = rate + _SMOOTHING * (count / elapsed - rate)
            if not count:
                continue
            # The usual interval is learnt from trades only: silence must not make silence usual.
            interval_s = (now_s - self._last_s[name]) / count
            usual_s = self._interval_s[name] or interval_s
            self._interval_s[name] = usual_s + _SMOOTHING * (interval_s - usual_s)
            self._last_s[name] = self._checked_s[name] = now_s
            self._patience[name] = 1.0

    def silent_s(self, name: str, now_s: float) -> float:
        """Seconds since the symbol's last trade."""
        return now_s - self._last_s[name]

    def rate(self, name: str) -> float:
        """Trades per second of late."""
        return self._rate[name]

    def overdue(self, now_s: float) -> list[str]:
        """Symbols to check now, the longest overdue first."""
        late = []
        for name, checked in self._checked_s.items():
            usual_s = min(self._factor * self._interval_s[name], _LONGEST_CHECK_S)
            if now_s - checked > max(self._shortest_s, usual_s) * self._patience[name]:
                late.append((checked, name))
        return [name for _, name in sorted(late)]

    def checked(self, name: str, now_s: float) -> None:
        """The symbol was checked and is quiet: ask again later."""
        self._checked_s[name] = now_s
        longest = _LONGEST_CHECK_S / self._shortest_s
        self._patience[name] = min(self._patience[name] * 2.0, longest)
