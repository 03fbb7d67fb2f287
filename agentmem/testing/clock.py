"""A clock that a test sets. Knows nothing of real time."""

from __future__ import annotations

from datetime import UTC, datetime


class FakeClock:
    """Pass as `Memory.open(clock=FakeClock())`: each call gives seconds since 1970, and moves on by `tick` seconds.

    start: the first answer, as a datetime (naive means UTC), an ISO string, or seconds.
    """

    def __init__(self, start: datetime | str | float = "2026-01-01T00:00:00+00:00", tick: float = 1.0) -> None:
        self.seconds = _seconds(start)
        self.tick = tick

    def __call__(self) -> float:
        now = self.seconds
        self.seconds = now + self.tick
        return now

    def advance(self, seconds: float) -> None:
        """Let time pass; a negative number sets the clock back."""
        self.seconds += seconds

    def set(self, to: datetime | str | float) -> None:
        """Make `to` the next answer."""
        self.seconds = _seconds(to)


def _seconds(moment: datetime | str | float) -> float:
    if isinstance(moment, str):
        moment = datetime.fromisoformat(moment)
    if isinstance(moment, datetime):
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    return float(moment)
