"""The sizes of the neural memory, as frozen values that travel with its weights.

Knows numbers and which of them fit together. Knows nothing of tensors.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from numbers import Integral, Real
from typing import Any

from agentmem.decay import LAMBDA, TAU
from agentmem.errors import InvalidInputError, in_brief

UNIT, CLUSTER, ATOM = 0, 1, 2
GREATEST = 1e12  # of numbers that are not whole
WIDEST = 2**16  # of sizes that weights are made of: what has more is no model, and torch says only that memory is short
METADATA = 4  # bytes of an atom that are not its code: birth (3) and importance (1)


def at_least(least: int, **values: int) -> None:
    """Raise InvalidInputError for a value below `least`, and for one that is no whole number."""
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, Integral):
            raise InvalidInputError(f"{name}={value!r}: a whole number is needed, at least {least}")
        if value < least:
            raise InvalidInputError(f"{name}={value}: at least {least} is needed")


def sized(least: int, most: int = WIDEST, **values: int) -> None:
    """As `at_least`, for sizes that weights are made of, and for a value above `most`."""
    at_least(least, **values)
    for name, value in values.items():
        if value > most:
            raise InvalidInputError(f"{name}={in_brief(value)}: {most:,} is the most")


def within(least: float, most: float, **values: float) -> None:
    """Raise InvalidInputError for a value below `least` or above `most`, NaN, and for one that is no number."""
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, Real) or not least <= value <= most:
            raise InvalidInputError(f"{name}={value!r}: a number from {least:g} to {most:g} is needed")


def make_plain(settings: object) -> None:
    """Give frozen settings that were found right their numbers as Python's own, and tuples for lists: files take no
    others, such as numpy's.
    """
    for name, value in vars(settings).items():
        object.__setattr__(settings, name, _plain(value))


def _plain(value: Any) -> Any:
    if isinstance(value, tuple | list):
        return tuple(map(_plain, value))
    return int(value) if isinstance(value, Integral) else float(value) if isinstance(value, Real) else value


def check_same(what: str, there: Mapping[str, object], own: Mapping[str, object]) -> None:
    """Raise InvalidInputError, with those that differ, unless sizes by name are a model's own."""
    other = [name for name, size in there.items() if size != own[name]]
    if other:
        sizes = [", ".join(f"{name}={each[name]}" for name in other) for each in (there, own)]
        raise InvalidInputError(f"the {what} is of a model with {sizes[0]}, and this one has {sizes[1]}; give its own")


@dataclass(frozen=True)
class CrystalSettings:
    """dimension: of the hidden states written and read. slots: of (cue, consequence) in a crystal, code_bits in all; in
    a unit one for each of its tokens at most.

    ratios: tokens per unit, units per cluster, clusters per atom. offsets: a slot's consequence is a learned mixture
    over this many tokens, from the cue's own on. recent: for how many tokens units and clusters stay readable, by
    blocks of ten, their own or more. budget: bytes of atoms, at most, per stream. read: slots recalled at once.
    sharpest: the greatest scale of a match of cues. chance: 0, and the most important are kept; 1, and each in
    proportion to its importance. tau, exponent: of the decay in eviction; exponent 0 is none. Raises InvalidInputError
    for sizes that are too small, too large, or do not fit together.
    """

    dimension: int = 768
    code_bits: int = 768
    slots: int = 2
    cue_bits: int = 128
    ratios: tuple[int, int, int] = (10, 5, 2)
    offsets: int = 4
    recent: tuple[int, int] = (1_000, 5_000)
    budget: int = 1_000_000
    heads: int = 2
    read: int = 32
    sharpest: float = 100.0
    chance: float = 0.0
    tau: float = TAU
    exponent: float = LAMBDA

    def __post_init__(self) -> None:
        for name, number in (("ratios", 3), ("recent", 2)):
            given = getattr(self, name)
            if not isinstance(given, tuple | list) or len(given) != number:
                raise InvalidInputError(f"{name}={given}: {number} numbers are needed")
        sized(1, dimension=self.dimension, offsets=self.offsets, heads=self.heads)
        at_least(1, slots=self.slots, read=self.read)
        at_least(1, **{f"ratios[{layer}]": ratio for layer, ratio in enumerate(self.ratios)})
        sized(0, code_bits=self.code_bits, cue_bits=self.cue_bits)
        within(1, GREATEST, tau=self.tau, sharpest=self.sharpest)
        within(0, GREATEST, exponent=self.exponent)
        within(0, 1, chance=self.chance)
        for layer in (UNIT, CLUSTER):
            at_least(self.spans[layer], **{f"recent[{layer}]": self.recent[layer]})
        if self.slots > self.spans[ATOM]:
            raise InvalidInputError(f"slots={self.slots} in an atom of {self.spans[ATOM]} tokens: one token each")
        self._check_bytes()
        make_plain(self)

    def _check_bytes(self) -> None:
        whole = self.code_bits % (8 * self.slots) == 0 and self.cue_bits % 8 == 0
        if not whole or not 0 < self.cue_bits < self.slot_bits:
            raise InvalidInputError(
                f"code_bits={self.code_bits} in {self.slots} slots leave {self.slot_bits} bits each, "
                f"cue_bits={self.cue_bits} of them: whole bytes for each and room for a consequence are needed"
            )
        at_least(0, budget=self.budget)
        if self.budget < self.atom_bytes:
            raise InvalidInputError(f"a budget of {self.budget} bytes holds no atom of {self.atom_bytes}")

    @property
    def sizes(self) -> dict[str, object]:
        """By name, those that a memory is made of: it says nothing to others."""
        names = "dimension", "code_bits", "slots", "cue_bits", "ratios", "offsets"
        return {name: getattr(self, name) for name in names}

    @property
    def slot_bits(self) -> int:
        return self.code_bits // self.slots

    @property
    def value_bits(self) -> int:
        return self.slot_bits - self.cue_bits

    @property
    def slots_of(self) -> tuple[int, int, int]:
        """Of a unit, a cluster and an atom: `slots`, or fewer where they cover fewer tokens."""
        unit, cluster, atom = (min(self.slots, span) for span in self.spans)
        return unit, cluster, atom

    @property
    def atom_bytes(self) -> int:
        return self.code_bits // 8 + METADATA

    @property
    def spans(self) -> tuple[int, int, int]:
        """Tokens that a crystal of each layer covers: (10, 50, 100)."""
        unit, cluster, atom = self.ratios
        return unit, unit * cluster, unit * cluster * atom

    @property
    def lookahead(self) -> int:
        """Tokens after its span that a crystal waits for."""
        return self.offsets - 1


@dataclass(frozen=True)
class TransformerSettings:
    """lower: blocks below the memory, whose states are written. upper: blocks above, each after a reader.

    window: tokens that a block's attention reaches back. conv: width of the short convolution under all blocks. Raises
    InvalidInputError for sizes that are too small, too large, or do not fit together.
    """

    d_model: int = 768
    n_heads: int = 12
    lower: int = 3
    upper: int = 3
    window: int = 256
    conv: int = 6
    crystal: CrystalSettings = field(default_factory=CrystalSettings)

    def __post_init__(self) -> None:
        sized(1, d_model=self.d_model, n_heads=self.n_heads, upper=self.upper, conv=self.conv)
        sized(0, lower=self.lower)
        at_least(1, window=self.window)
        if not isinstance(self.crystal, CrystalSettings):
            raise InvalidInputError(f"crystal={self.crystal!r}: give CrystalSettings(dimension={self.d_model})")
        if self.d_model % self.n_heads or self.d_model // self.n_heads % 2:
            raise InvalidInputError(f"d_model={self.d_model} over n_heads={self.n_heads}: an even width each is needed")
        if self.crystal.dimension != self.d_model:
            raise InvalidInputError(
                f"crystals of dimension {self.crystal.dimension} in a transformer of d_model={self.d_model}"
            )
        make_plain(self)

    @property
    def sizes(self) -> dict[str, object]:
        """By name, all that a state may be made of, its crystals' among them."""
        return {**vars(self), **self.crystal.sizes}
