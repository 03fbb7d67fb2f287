"""One stream that kept every atom, and what may be thought important of them: by lot, surprise, the model, reading.

Knows a model and the recall task. Knows nothing of which importance is best.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from agentmem.bench.neural.ages import chosen
from agentmem.bench.neural.replays import Rule, evicted, importance_of, ranked, then, with_importance
from agentmem.neural.measure import CHUNK, TOGETHER, Watch
from agentmem.neural.memory import Memory
from agentmem.neural.settings import ATOM
from agentmem.neural.tasks.key_value import LENGTH, Facts, RecallTask, questions
from agentmem.neural.tasks.task import Questions
from agentmem.neural.tokens import TokenModel
from agentmem.neural.transformer import State, positions

BY_READING = "read"
IMPORTANCES = ("random", "surprise, mean", "surprise, most", "learned", BY_READING)


@dataclass(frozen=True)
class History:
    """One stream. state: at its end, with every atom; half: half way. importances: uint8 [atoms], by name.

    asked, unasked: bool [n], facts of the first half that are asked for half way, and those that are not. questions:
    what is asked there.
    """

    seed: int
    facts: Facts
    state: State
    half: State
    importances: dict[str, Tensor]
    asked: Tensor
    unasked: Tensor
    questions: Questions


def history(model: TokenModel, task: RecallTask, seed: int, ask: int, progress: Watch) -> History:
    """Write a stream of the task; `ask` facts of its first half, or half of them if those are fewer, are asked for."""
    generator = torch.Generator().manual_seed(seed)
    stream, facts = task.stream(1, generator)
    state, half, surprise = _written(model, stream, progress)
    early = facts.at[0] + LENGTH <= half.position
    asked = _some(early, max(1, min(ask, int(early.sum()) // 2)), generator)
    told = questions(chosen(facts, asked), int(asked.sum()), generator)
    atoms = state.memory.atoms.shape[1]
    of_atoms = surprise[: atoms * state.memory.settings.spans[ATOM]].view(atoms, -1)
    importances = {
        "random": torch.randint(256, (atoms,), generator=generator).to(torch.uint8),
        "surprise, mean": ranked(of_atoms.mean(1)),
        "surprise, most": ranked(of_atoms.amax(1)),
        "learned": importance_of(state.memory),
        BY_READING: importance_of(state.memory),
    }
    return History(seed, facts, state, half, importances, asked, early & ~asked, told)


def after(model: TokenModel, one: History, importance: str, rule: Rule) -> State:
    """The state at the end, had atoms been evicted by this importance and rule as the stream went on."""
    whole = with_importance(one.state.memory, one.importances[importance])
    if importance != BY_READING:
        return replace(one.state, memory=evicted(whole, rule))
    made = one.half.memory.atoms.shape[1]
    half = replace(one.half, memory=evicted(one.half.memory, rule))
    return replace(one.state, memory=evicted(then(_read(model, half, one.questions), whole, made), rule))


def _read(model: TokenModel, state: State, asked: Questions) -> Memory:
    """The memory after questions were read, which reinforces it, and not written."""
    transformer = model.transformer
    for each in asked.split(TOGETHER):
        hidden = transformer.write(model.embedded(each.tokens), state)[0]
        readings = transformer.read(hidden, state.memory.view(), positions(state, each.tokens))[1]
        state = replace(state, memory=transformer.reinforced(state, readings))
    return state.memory


def _written(model: TokenModel, stream: Tensor, progress: Watch) -> tuple[State, State, Tensor]:
    """The states at the end and half way, and each token's -log p after those before it in its chunk [T]."""
    state = half = model.transformer.start(1)
    middle, surprise = stream.shape[1] // 2, []
    for first, last in _spans(middle, stream.shape[1]):
        surprise.append(_surprise(model, stream[:, first:last], state))
        state = model.remember(stream[:, first:last], state)
        half = state if last == middle else half
        progress("writing", last / stream.shape[1])
    return state, half, torch.cat(surprise)


def _spans(middle: int, end: int) -> list[tuple[int, int]]:
    """Chunks that part at the middle."""
    starts = sorted({*range(0, end, CHUNK), middle})
    return list(zip(starts, [*starts[1:], end], strict=True))


def _surprise(model: TokenModel, tokens: Tensor, state: State) -> Tensor:
    """-log p of tokens [1, T] without memory: [T]; of the first, whose chances are the chunk's before, their mean."""
    nothing = state.memory.view().only(())
    said = model.ask(tokens, state, nothing)[0, :-1]
    nats = -said.gather(-1, tokens[0, 1:, None]).squeeze(-1)
    return torch.cat((nats.mean()[None] if len(nats) else torch.zeros(1), nats))


def _some(allowed: Tensor, number: int, generator: torch.Generator) -> Tensor:
    """`number` of those allowed, bool [n]."""
    places = allowed.nonzero().flatten()
    taken = places[torch.randperm(len(places), generator=generator)[:number]]
    return torch.zeros_like(allowed).index_fill(0, taken, True)
