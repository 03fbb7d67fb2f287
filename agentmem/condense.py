"""Many tokens to few by choosing what to keep: a crystal's text is spans of its sources, nothing is rewritten.

Knows spans, budgets and the running quota; knows nothing of what makes a piece salient (`agentmem.salience`), of layers
or of the store. All functions are pure; `Quota` is a value that the caller carries along the log.

The text of a crystal, exactly:

    crystal  = step *( "\\n" step )             steps in log order
    step     = [ actor ": " ] span *( " … " span )   " … " where text between two spans was folded
    span     = characters [start, end) of the step's text, as they are

So every part of the text between "\\n", "…" and the actors is found word for word in a source.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise

import numpy as np

from agentmem.salience import Salience, Scored, Source
from agentmem.salience.reading import Bools
from agentmem.tokens import count
from agentmem.types import Span

__all__ = ["MARK", "Quota", "Salience", "Source", "condense", "render", "select"]

MARK = " … "
_DANGLING = ",;:([{=|<"
_NEVER = -1e12
_TRIES = 14
_LEVEL = 0.3  # of what may stand idle: where the bank is steered to
_PART = 10_000  # pieces that are chosen from together
_SEAM = 4  # tokens that a part may cost more beside another than alone
_CLOSE = 0.97  # of a budget is close enough to stop searching for a better price


def render(spans: Sequence[Span], texts: Mapping[int, str], actors: Mapping[int, str] | None = None) -> str:
    """The text of spans (sorted) of the texts at their log positions, by this module's grammar."""
    parts: list[str] = []
    at: int | None = None
    for position, start, end in spans:
        if position == at:
            parts.append(MARK)
        else:
            parts.append("" if at is None else "\n")
            parts.append(f"{actors[position]}: " if actors and position in actors else "")
        parts.append(texts[position][start:end])
        at = position
    return "".join(parts)


def select(sources: Sequence[Source], budget: int, salience: Salience, actors: bool = False) -> tuple[Span, ...]:
    """The spans most worth keeping whose rendered text is at most `budget` tokens; () where nothing fits.

    Sorted, not overlapping, never in skipped text. actors: count the text as rendered with the sources' actors.
    """
    return _Choice(sources, salience.score(sources), actors).within(budget).spans


def condense(texts: Sequence[str], ratio: float = 10) -> str:
    """The default Condenser: texts to one text of at most a `ratio`-th of their tokens together."""
    sources = [Source(position, _guess(text), None, text) for position, text in enumerate(texts)]
    budget = int(sum(map(count, texts)) / ratio)
    return render(select(sources, budget, Salience()), dict(enumerate(texts)))


def _guess(text: str) -> str:
    """Prose is condensed like a message, anything else like an observation."""
    lines = [line for line in text.splitlines() if line.strip()]
    prose = sum(len(line) for line in lines if line[:1].isalpha() and line.rstrip()[-1] in ".!?\"'…")
    return "message" if 2 * prose >= sum(map(len, lines)) else "observation"


@dataclass(slots=True)
class Quota:
    """A token bank that makes one crystal of `ratio` : 1 out of each segment, over the log and not each by itself.

    Every segment earns its tokens / ratio and spends what is worth the going price of a token of salience. The price
    falls while the bank is full and rises while it is empty, so rich segments may spend what poor ones saved. Over any
    prefix of the log what was spent is at most what was earned; what stands idle is at most `idle` source tokens'
    worth, and about a tenth of the log so far while it is short.
    """

    ratio: float
    idle: float = 20_000.0
    seen: int = 0
    spent: int = 0
    price: float = 0.0

    def take(
        self, sources: Sequence[Source], scored: Scored, tokens: int | None = None, actors: bool = False
    ) -> tuple[Span, ...]:
        """The next segment's spans, paid for; long ones part by part. tokens: of its text, where known."""
        tokens = sum(count(source.text) for source in sources) if tokens is None else tokens
        parts = _parts(scored)
        ends = [tokens * number // len(parts) for number in range(len(parts) + 1)]
        spans: list[Span] = []
        for part, (before, after) in zip(parts, pairwise(ends), strict=True):
            spans += self._pay(_Choice(sources, part, actors), after - before)
            self.spent += _SEAM * (len(parts) > 1)
        return tuple(spans)

    def _pay(self, choice: _Choice, tokens: int) -> tuple[Span, ...]:
        self.seen += tokens
        bank = int(self.seen / self.ratio) - self.spent
        most = min(self.idle, 0.075 * self.idle + self.seen / 10) / self.ratio
        ease = math.exp((_LEVEL - bank / most) / 2)
        picked = choice.at(self.price * ease) if self.price else choice.within(bank)
        if picked.tokens > bank:
            picked = choice.within(bank)
        elif bank - picked.tokens > most:
            picked = choice.within(int(bank - most), least=picked)
        self.spent += picked.tokens
        if self.price:
            pace = min(1.0, tokens / (most * self.ratio))
            self.price *= math.exp((_LEVEL - (bank - picked.tokens) / most) * pace / 2)
        else:
            self.price = picked.price / ease
        return picked.spans

    def to_state(self) -> dict[str, float]:
        """JSON-able; `Quota(**state)` gives it back."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class _Picked:
    spans: tuple[Span, ...]
    tokens: int
    price: float


def _parts(scored: Scored) -> list[Scored]:
    """A segment of more than _PART pieces in equal parts, so that the price is sought on the first alone."""
    size = len(scored.weight)
    if size <= _PART:
        return [scored]
    number = math.ceil(size / _PART)
    cuts = [size * part // number for part in range(number + 1)]
    parts = [Scored._make(column[start:end] for column in scored) for start, end in pairwise(cuts)]
    return [part._replace(opens=part.opens | (np.arange(len(part.opens)) == 0)) for part in parts]


class _Choice:
    """A scored segment from which spans are picked at a price of salience per token."""

    def __init__(self, sources: Sequence[Source], scored: Scored, actors: bool) -> None:
        self._scored = scored
        self._positions = [source.position for source in sources]
        self._texts = {source.position: source.text for source in sources}
        self._actors = {s.position: s.actor for s in sources if s.actor} if actors else None

    def at(self, price: float) -> _Picked:
        spans = self._spans(keep(self._scored, price))
        return _Picked(spans, count(render(spans, self._texts, self._actors)), price)

    def within(self, budget: int, least: _Picked | None = None) -> _Picked:
        """The most that fits a budget, to within a few percent; at least what `least` picked."""
        best = least or _Picked((), 0, 0.0)
        if budget < 1 or not len(self._scored.weight):
            return best
        high = float((self._scored.weight / self._scored.cost).max()) or 1.0
        low = high * 1e-6
        for _ in range(_TRIES):
            picked = self.at(math.sqrt(low * high))
            if picked.tokens > budget:
                low = picked.price
                continue
            high = picked.price
            if picked.tokens >= best.tokens:
                best = picked
            if picked.tokens >= _CLOSE * budget:
                break
        return best

    def _spans(self, kept: Bools) -> tuple[Span, ...]:
        scored = self._scored
        index = np.flatnonzero(kept)
        if not len(index):
            return ()
        cut = np.flatnonzero((np.diff(index) > 1) | scored.opens[index[1:]]) + 1
        heads, tails = index[np.append(0, cut)], index[np.append(cut, len(index)) - 1]
        spans = []
        for source, start, end in zip(
            scored.source[heads].tolist(), scored.start[heads].tolist(), scored.end[tails].tolist(), strict=True
        ):
            position = self._positions[source]
            end = start + len(self._texts[position][start:end].rstrip(_DANGLING))
            if end > start:
                spans.append(Span(position, start, end))
        return tuple(spans)


def keep(scored: Scored, price: float) -> Bools:
    """Which pieces to keep so that weight less price x tokens is greatest, every fragment costing one token more.

    Exact, by dynamic programming over two states (kept, folded); runs of pieces of one sign stay together.
    """
    gain = np.where(scored.barred, _NEVER, scored.weight - price * scored.cost)
    if not len(gain):
        return np.zeros(0, bool)
    pays = gain > 0
    begins = scored.opens.copy()
    begins[1:] |= pays[1:] != pays[:-1]
    heads = np.flatnonzero(begins)
    runs = _best(np.add.reduceat(gain, heads).tolist(), scored.opens[heads].tolist(), price)
    return np.repeat(runs, np.diff(np.append(heads, len(gain))))


def _best(gains: list[float], opens: list[bool], fee: float) -> Bools:
    """Keep or fold each run: `fee` for each kept stretch; a stretch ends where a source does."""
    kept, folded = -math.inf, 0.0
    from_kept: list[tuple[bool, bool]] = []  # was the run before kept, if this one is kept / folded?
    for gain, new in zip(gains, opens, strict=True):
        stays = kept > folded
        if new:
            on, enter = stays, (kept if stays else folded) - fee
        else:
            on = kept >= folded - fee
            enter = kept if on else folded - fee
        from_kept.append((on, stays))
        folded = kept if stays else folded
        kept = enter + gain
    chosen = np.zeros(len(gains), bool)
    on = kept > folded
    for i in range(len(gains) - 1, -1, -1):
        chosen[i] = on
        on = from_kept[i][0] if on else from_kept[i][1]
    return chosen
