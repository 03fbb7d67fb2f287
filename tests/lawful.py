"""What the laws speak of: memories to ask, what a caller sees of an answer, and where crystals come from."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from strategies import CUES, USUAL, Said, long_log, opened, played

from agentmem import Crystal, Layer, Memory, PlanningContext
from agentmem.condense import MARK
from agentmem.index import step_id
from agentmem.testing import FakeClock, HashEncoder
from agentmem.types import Record

BUDGETS = st.integers(0, 300) | st.sampled_from((1024, 4096))
ENCODERS = st.sampled_from((None, HashEncoder(32)))
LONG = long_log(20, 8)  # crystals of every layer, and atoms that retire, in as few steps
LAYERS = st.sampled_from((None, None, ("unit",), ("cluster", "atom"), ("unit", "cluster", "atom")))


def few(examples: int) -> settings:
    """So many examples usually, and as many times more with the profile `many` as others have."""
    most = examples * settings().max_examples // USUAL
    return settings(max_examples=most, deadline=None, suppress_health_check=list(HealthCheck))


def crystallized(said: Sequence[Said], path: Path | str = ":memory:", **options: Any) -> Memory:
    memory = played(said, path, **options)
    memory.crystallize()
    return memory


def read(said: Sequence[Said]) -> AbstractContextManager[Memory]:
    """`crystallized`, for who writes nothing: the long log's memory is made once."""
    return nullcontext(_long()) if said is LONG else crystallized(said)


@cache
def _long() -> Memory:
    return crystallized(LONG)


def shown(context: PlanningContext) -> Any:
    """All of a context that a caller can see."""
    return context.model_dump(), context.vectors.tolist(), context.ages.tolist()


def records(memory: Memory) -> list[Record]:
    return list(memory._core.store.scan(memory.namespace))


def asked(memory: Memory, cues: Sequence[str] = CUES, **options: Any) -> list[Any]:
    return [shown(memory.recall(cue, 200, layers=layers, **options)) for cue in cues for layers in (None, ("unit",))]


def steps_under(made: dict[str, Crystal], crystal: Crystal) -> set[str]:
    """The steps a crystal was made from, through all layers."""
    below = (made.get(source) for source in crystal.sources)
    return set().union(
        *(({source} if c is None else steps_under(made, c)) for source, c in zip(crystal.sources, below, strict=False))
    )


def told_by(made: dict[str, Crystal], crystal: Crystal) -> set[str]:
    """The steps whose story a crystal tells: an atom tells that of the steps its words come from."""
    if crystal.layer is Layer.ATOM:
        return {step_id(span.position) for span in crystal.spans}
    return steps_under(made, crystal)


def unmarked(text: str) -> str:
    return text.replace(MARK, "").replace("\n", "")


def crystals_as_of(crystals: Sequence[Crystal], position: int) -> list[Crystal]:
    """As they were seen then: what retired them later was not known."""
    later = (c.retired is not None and c.retired > position for c in crystals)
    return [c.model_copy(update={"retired": None}) if gone else c for c, gone in zip(crystals, later, strict=True)]


def without_version(contexts: Sequence[Any]) -> list[Any]:
    return [({**dump, "store_version": ""}, *rest) for dump, *rest in contexts]


class Shared:
    """One memory for many examples that only append."""

    memory: Memory | None = None

    def __enter__(self) -> Memory:
        if Shared.memory is None:
            Shared.memory = opened(clock=FakeClock())
        return Shared.memory

    def __exit__(self, *_: object) -> None: ...
