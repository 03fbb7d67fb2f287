"""The log to crystals: segments to units, units of one topic to clusters, clusters to atoms.

Knows records in log order and what it needs to go on from one of them; knows no store, clock or randomness. What it
makes depends on the log alone: fed in one go, in pieces, or again from the start, the same log gives the same crystals.

A unit is sealed when its segment closes. A cluster is sealed when five units of one topic are in, or when its topic has
waited longest and room is needed. Atoms are sealed with their cluster; a claim with another value than the live atom of
its key retires that atom at once, and is given an atom of its own as far as the quota of atoms allows.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from agentmem.claims import Claim
from agentmem.condense import Quota, Salience, Source, render
from agentmem.crystallize.sayings import Sayings, claims_of
from agentmem.errors import CondenseError
from agentmem.index import step_id
from agentmem.salience import Lift, Scored, Usual, read
from agentmem.segment import Asleep, Open
from agentmem.sources import learnable, source_of
from agentmem.states import Runs
from agentmem.states.told import Told, told
from agentmem.tokens import count, truncate
from agentmem.topics import Topics, signature
from agentmem.types import RATIOS, Condenser, Crystal, Layer, Namespace, Record, Span, State

VERSION = 2  # part of every crystal's id: a crystallizer that condenses otherwise makes other crystals
OPEN_EPISODES = 256  # episodes whose last segment may be open at once
NEWEST = 1_000  # keys of which the newest claim is remembered
RESERVE = 16  # tokens of the quota of atoms at most, an eighth of a small one, that are left to claims to come
_IDLE = {Layer.UNIT: 20_000.0, Layer.CLUSTER: 2_000.0, Layer.ATOM: 400.0}

Read = Callable[[Sequence[int]], list[Record]]


@dataclass(frozen=True, slots=True)
class Sealed:
    """A unit as it was sealed, with the steps of its segment."""

    unit: Crystal
    steps: tuple[Record, ...]


class _Waiting(NamedTuple):
    """What a cluster needs of a unit that waits for it."""

    tokens: int
    steps: tuple[int, ...]


class _Heard(NamedTuple):
    """The newest claim of a key: position, hash of the value, and how many steps in a row have said it."""

    position: int = 0
    value: int = 0
    support: int = 0


class Crystallizer:
    """Feed it records in log order; `drain` gives what they sealed, `state` what is needed to go on later.

    read: records by position. live: the atoms that hold so far, by key. condenser: writes the text of units and
    clusters in place of the spans; it is cut to the layer's quota, and an error of its own becomes CondenseError.
    sparing: see `agentmem.states.Runs`.
    """

    def __init__(
        self,
        namespace: Namespace,
        read: Read,
        live: Mapping[str, Crystal],
        state: bytes = b"",
        condenser: Condenser | None = None,
        sparing: bool = False,
    ) -> None:
        self.namespace, self._read, self._condenser = namespace, read, condenser
        self._live = dict(live)
        self._salience = Salience()
        self._quota = {layer: Quota(RATIOS[layer], _IDLE[layer]) for layer in Layer}
        self._topics = Topics()
        self._usual = Usual()
        self._open: dict[str, Open | Asleep] = {}
        self._units: dict[str, _Waiting] = {}
        self._newest: dict[str, _Heard] = {}
        self._crystals: list[Crystal] = []
        self._retired: dict[str, int] = {}
        self._sealed: list[Sealed] = []
        self._runs, self._sparing = Runs(sparing=sparing), sparing
        self._states: list[State] = []
        if state:
            self._resume(json.loads(state))

    # ---- the log in, crystals out ----------------------------------------------------------------------------------

    def feed(self, record: Record) -> None:
        """Take the next record of the log."""
        if record.type == "step":
            self._states += self._runs.read(record, source_of(record))
            self._step(record)
        elif record.type == "end" and record.episode is not None:
            self._close(record.episode, record.position)

    def drain(self) -> tuple[list[Crystal], dict[str, int], list[Sealed]]:
        """(new crystals, crystal id -> position that retires it, sealed units) since the last call."""
        out = self._crystals, self._retired, self._sealed
        self._crystals, self._retired, self._sealed = [], {}, []
        return out

    def drain_states(self) -> list[State]:
        """The states of the records fed since the last call."""
        out, self._states = self._states, []
        return out

    def state(self) -> bytes:
        """What a new Crystallizer needs to go on; bounded, JSON."""
        state = {
            "salience": self._salience.to_state(),
            "quota": {layer.value: quota.to_state() for layer, quota in self._quota.items()},
            "topics": self._topics.to_state(),
            "usual": self._usual,
            "units": self._units,
            "newest": self._newest,
            "runs": self._runs.to_state(),
            "open": {name: one.asleep() if isinstance(one, Open) else one for name, one in self._open.items()},
        }
        return json.dumps(state, separators=(",", ":")).encode()

    def _resume(self, known: dict[str, Any]) -> None:
        self._salience = Salience.from_state(known["salience"])
        self._quota = {Layer(name): Quota(**quota) for name, quota in known["quota"].items()}
        self._topics = Topics.from_state(known["topics"])
        self._usual = Usual(*known["usual"])
        self._units = {name: _Waiting(tokens, tuple(steps)) for name, (tokens, steps) in known["units"].items()}
        self._newest = {key: _Heard(*heard) for key, heard in known["newest"].items()}
        self._runs = Runs(known["runs"], self._sparing)
        self._open = {name: Asleep(*asleep) for name, asleep in known["open"].items()}

    # ---- segments --------------------------------------------------------------------------------------------------

    def _step(self, step: Record) -> None:
        name = step.episode or ""
        segment = self._taken(name) or Open()
        if segment.starts(step) and segment.steps:
            self._seal(segment.steps, step.position)
            segment.steps = []
        segment.steps.append(step)
        self._open[name] = segment  # the episode heard of last stands last
        if len(self._open) > OPEN_EPISODES:
            self._close(next(iter(self._open)), step.position)

    def _taken(self, episode: str) -> Open | None:
        segment = self._open.pop(episode, None)
        return Open.woken(self._read(segment.steps), segment.at) if isinstance(segment, Asleep) else segment

    def _close(self, episode: str, position: int) -> None:
        segment = self._taken(episode)
        if segment and segment.steps:
            self._seal(segment.steps, position)

    def _seal(self, steps: Sequence[Record], born: int) -> None:
        """A closed segment becomes a unit, joins a topic, and may seal that topic's cluster."""
        sources = [source_of(step) for step in steps]
        tokens = sum(step.tokens for step in steps)
        ids = tuple(step_id(step.position) for step in steps)
        reading = read(sources)
        scored = self._salience.weigh(reading, _lifts(told(steps, sources)))
        self._usual = self._usual.after(scored)
        unit = self._condense(Layer.UNIT, sources, scored, ids, tokens, born)
        self._salience.learn(reading)
        assert unit is not None
        self._sealed.append(Sealed(unit, tuple(steps)))
        self._units[unit.id] = _Waiting(unit.tokens, tuple(step.position for step in steps))
        for claim, source in claims_of(sources):
            self._hear(claim, source)
            self._update(claim, source, unit, born)
        for topic in self._topics.add(unit.id, signature(steps)):
            self._cluster(topic.label, topic.units, born)

    # ---- layers ----------------------------------------------------------------------------------------------------

    def _condense(
        self,
        layer: Layer,
        sources: Sequence[Source],
        scored: Scored,
        ids: tuple[str, ...],
        tokens: int,
        born: int,
        key: str | None = None,
    ) -> Crystal | None:
        """One crystal of a layer from steps. `tokens`: of the layer below.

        Where the quota gives nothing there is no cluster, and a unit without words: it still leads to its steps.
        """
        quota = self._quota[layer]
        spans = quota.take(sources, scored, tokens)
        texts = {source.position: source.text for source in sources}
        text = render(spans, texts)
        if self._condenser is not None and spans:
            text, spans = self._condensed(sources, count(text)), _whole(sources)
        if not text.strip() and layer is not Layer.UNIT:
            return None
        covers = (sources[0].position, sources[-1].position)
        return self._emit(layer, text, spans, ids, covers, tokens, born, self._usual.salience(scored), key)

    def _condensed(self, sources: Sequence[Source], budget: int) -> str:
        assert self._condenser is not None
        try:
            text = self._condenser([learnable(source) for source in sources])
        except Exception as error:
            raise CondenseError(f"the condenser failed on {len(sources)} steps: {error!r}; the log is safe") from error
        if not isinstance(text, str):
            raise CondenseError(f"the condenser returned {type(text).__name__}, not str; the log is safe")
        if not text.isascii() and text != text.encode("utf-8", "replace").decode():
            raise CondenseError(f"the condenser returned a lone surrogate in {text[:80]!r}; the log is safe")
        return truncate(text, budget)

    def _cluster(self, label: str, unit_ids: Sequence[str], born: int) -> None:
        units = [self._units.pop(unit_id) for unit_id in unit_ids]
        positions = sorted({position for unit in units for position in unit.steps})
        steps = self._read(positions)
        sources = [source_of(step) for step in steps]
        tokens = sum(unit.tokens for unit in units)
        telling = told(steps, sources)
        scored = self._salience.weigh(read(sources), _lifts(telling))
        cluster = self._condense(Layer.CLUSTER, sources, scored, tuple(unit_ids), tokens, born, label)
        if cluster is not None:
            self._quota[Layer.ATOM].seen += cluster.tokens
            self._atoms(Sayings(sources, scored), telling, cluster, born)

    def _atoms(self, sayings: Sayings, telling: Sequence[Told], cluster: Crystal, born: int) -> None:
        """What a cluster claims, what was done in it to what effect, and its own spans: best first, while the quota of
        atoms lasts. But for claims, nothing is said twice.
        """
        told: list[Span] = []
        quota = self._quota[Layer.ATOM]
        reserve = min(RESERVE, int(quota.seen / quota.ratio / 8))
        for saying in sayings.best(telling, cluster.spans):
            if saying.claim is not None:
                self._claimed(saying.claim, sayings.source(saying.spans[0].position), cluster, born)
            elif saying.apart_from(told) and self._plain_atom(
                saying.spans, sayings.texts, cluster, born, 0 if saying.deed else reserve
            ):
                told += saying.spans

    def _claimed(self, claim: Claim, source: Source, cluster: Crystal, born: int) -> None:
        if claim.key in self._live:
            self._update(claim, source, cluster, born)
        elif not self._outdated(claim, source):
            self._atom(claim, source, cluster, born)

    def _plain_atom(
        self, spans: tuple[Span, ...], texts: Mapping[int, str], cluster: Crystal, born: int, reserve: int
    ) -> bool:
        """An atom without key or value, if there is room for it."""
        text = render(spans, texts)
        if not self._spend(text, reserve):
            return False
        covers = (spans[0].position, spans[-1].position)
        self._emit(Layer.ATOM, text, spans, (cluster.id,), covers, cluster.tokens, born, cluster.salience)
        return True

    def _spend(self, text: str, left: int = 0) -> bool:
        """Pay for an atom, if it has words and the quota lasts, and is `left` so many tokens."""
        quota, tokens = self._quota[Layer.ATOM], count(text)
        fits = bool(text.strip()) and quota.spent + tokens + left <= quota.seen / quota.ratio
        quota.spent += tokens * fits
        return fits

    def _hear(self, claim: Claim, source: Source) -> None:
        known, value = self._newest.pop(claim.key, _Heard()), _hash(claim.value)
        if value == known.value:
            known = _Heard(max(known.position, source.position), value, known.support + 1)
        elif source.position > known.position:
            known = _Heard(source.position, value, 1)
        self._newest[claim.key] = known
        if len(self._newest) > NEWEST:
            del self._newest[next(iter(self._newest))]

    def _outdated(self, claim: Claim, source: Source) -> bool:
        """Whether a later step is known to claim something else of the same key."""
        newest = self._newest.get(claim.key, _Heard())
        return newest.position > source.position and newest.value != _hash(claim.value)

    def _update(self, claim: Claim, source: Source, unit: Crystal, born: int) -> None:
        """A newer value retires the live atom of its key."""
        known = self._live.get(claim.key)
        if known is None or known.value == claim.value or known.spans[-1].position >= source.position:
            return
        if self._outdated(claim, source):
            return
        self._retired[known.id] = born
        del self._live[claim.key]
        self._atom(claim, source, unit, born)

    def _atom(self, claim: Claim, source: Source, parent: Crystal, born: int) -> None:
        spans = (Span(source.position, *claim.span),)
        text = source.text[claim.span[0] : claim.span[1]]
        if not self._spend(text):
            return
        covers = (source.position, source.position)
        newest = self._newest.get(claim.key, _Heard())
        support = newest.support if newest.value == _hash(claim.value) else 1
        said = (claim.key, claim.value, support)
        self._live[claim.key] = self._emit(
            Layer.ATOM, text, spans, (parent.id,), covers, parent.tokens, born, parent.salience, *said
        )

    def _emit(
        self,
        layer: Layer,
        text: str,
        spans: tuple[Span, ...],
        sources: tuple[str, ...],
        covers: tuple[int, int],
        source_tokens: int,
        born: int,
        salience: float,
        key: str | None = None,
        value: str | None = None,
        support: int = 1,
    ) -> Crystal:
        name = json.dumps([VERSION, layer, self.namespace, spans, sources, born, key, value, text])
        crystal = Crystal(
            id=layer.value[0] + hashlib.sha256(name.encode()).hexdigest()[:16],
            layer=layer,
            namespace=self.namespace,
            text=text,
            spans=spans,
            sources=sources,
            covers=covers,
            born=born,
            tokens=count(text),
            source_tokens=source_tokens,
            salience=salience,
            key=key,
            value=value,
            support=support,
        )
        self._crystals.append(crystal)
        return crystal


def runs_of(state: bytes) -> dict[str, dict[str, Any]]:
    """What the states of the next steps depend on, from a crystallizer's state: see `Runs.to_state`."""
    known: dict[str, dict[str, Any]] = json.loads(state)["runs"]
    return known


def _hash(text: str) -> int:
    return zlib.crc32(text.encode("utf-8", "surrogatepass"))


def _lifts(telling: Sequence[Told]) -> list[Lift]:
    return [(*one.words, one.vote) for one in telling]


def _whole(sources: Sequence[Source]) -> tuple[Span, ...]:
    return tuple(Span(source.position, 0, len(source.text)) for source in sources)
