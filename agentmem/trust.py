"""Who said a step, and how far that counts: an order of trusts, and of several the least.

Knows the body of a record as JSON values; knows no text, store or crystal. A step without a trust is the agent's own,
or nobody knows whose. What repeats recalled text counts for no more than what it repeats, and a crystal for no more
than the least of its sources: condensing raises nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, cast

from agentmem.types import Trust

ORDER: tuple[Trust, ...] = ("web", "tool", "agent", "user", "operator", "system")
"""From the least to the most; a step without a trust stands where "agent" does."""
UNTRUSTED: tuple[Trust, ...] = ("web",)
"""Of these a planning context takes a share at most, quoted."""
SHARE = 0.25
"""Of a budget's tokens that untrusted text may take, unless the memory was opened with another share."""


def rank(trust: str | None) -> int:
    """The place of a trust in ORDER."""
    return ORDER.index(cast(Trust, trust or "agent"))


def least(trusts: Iterable[Trust | None]) -> Trust | None:
    """The least of several; None where the least ones are without, and for none at all."""
    return min(trusts, key=lambda trust: (rank(trust), trust is not None), default=None)


def trust_of(body: Mapping[str, Any]) -> Trust | None:
    """How far a step counts, by the body of its record: the trust it was logged with, or that of what it repeats."""
    own: Trust | None = body.get("trust")
    return least((own, body["recalled_trust"])) if "recalled_trust" in body else own
