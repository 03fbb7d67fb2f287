"""How often each token may ask: a bucket that fills at a steady rate. Knows the time only as it is told."""

from __future__ import annotations

import math


class Rates:
    """per_second: requests that a token may make for ever; it may make twice as many at once after a pause."""

    def __init__(self, per_second: float) -> None:
        self.per_second, self.most = per_second, max(1.0, 2 * per_second)
        self._buckets: dict[str, tuple[float, float]] = {}

    def wait(self, token: str, now: float) -> int:
        """0, and the request is counted; or in how many whole seconds it may be made. now: of a steady clock."""
        left, since = self._buckets.get(token, (self.most, now))
        left = min(self.most, left + (now - since) * self.per_second)
        allowed = left >= 1
        self._buckets[token] = (left - allowed, now)
        return 0 if allowed else max(1, math.ceil((1 - left) / self.per_second))
