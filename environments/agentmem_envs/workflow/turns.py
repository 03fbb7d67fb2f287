"""Which choices of a state can have their turn. The first whose conditions hold is right, so a choice may leave nothing
to those behind it, or find nothing left.

What is told is sure: facts are drawn apart from each other, and what the way to a state rules out can only leave less.
Where it would take long to find out, nothing is told.
"""

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from agentmem_envs.workflow.definition import Choice, Definition, Fact, State, Test, Value
from agentmem_envs.workflow.mistakes import cut

MOST = 300_000
Asked = Mapping[str, list[tuple[int, str, Test]]]
"""Of what conditions are on: for each of them the number of its choice, its name and what it asks."""
Kinds = Mapping[str, frozenset[int]]
"""Of what conditions are on, the numbers of its kinds of values: those that they cannot tell apart are one kind."""


@dataclass
class _Looks:
    """At values and at choices: how many there may still be."""

    left: int = MOST

    def spend(self, number: int) -> bool:
        """Whether so many more may be made."""
        self.left -= number
        return self.left >= 0


def idle(definition: Definition) -> Iterator[str]:
    """The choices that never have their turn, or leave none to those behind them, with their places and remedies."""
    looks = _Looks()
    for name, state in definition.states.items():
        asked = _asked(definition, state)
        if looks.spend(_cost(definition, asked)):
            values = {each: _values(definition, name, each, tests) for each, tests in asked.items()}
            yield from _told(definition, name, *_kinds(definition, asked, values), looks)


def _asked(definition: Definition, state: State) -> Asked:
    """Deadlines that begin in one state are one thing: the steps since then."""
    asked: dict[str, list[tuple[int, str, Test]]] = defaultdict(list)
    for number, choice in enumerate(state.choices):
        for name, test in choice.when.items():
            deadline = definition.deadlines.get(name)
            asked[f"since {deadline.starts}" if deadline else name].append((number, name, test))
    return asked


def _cost(definition: Definition, asked: Asked) -> int:
    """The most looks at a value that it takes to sort them into kinds."""
    listed = {each: len(definition.facts[each].values) for each in asked if each in definition.facts}
    return sum(len(tests) * (listed.get(each) or 2 * len(tests) + 1) for each, tests in asked.items())


def _values(definition: Definition, state: str, asked: str, tests: Sequence[tuple[int, str, Test]]) -> list[Value]:
    """One at least of each kind."""
    if asked in definition.facts:
        return _samples(definition.facts[asked], [test for *_, test in tests])
    if asked == f"since {state}":
        return [0]
    return [1, *(definition.deadlines[name].steps + 1 for _, name, _ in tests)]


def _samples(fact: Fact, tests: Sequence[Test]) -> list[Value]:
    """Of a range the first value, those at which a condition begins or ends to hold, and those after them."""
    if fact.values:
        return list(dict.fromkeys(fact.values))
    places = {0}
    for test in tests:
        bound = next(each for each in (test.equals, test.at_least, test.below) if each is not None)
        place = -(((fact.least or 0) - math.ceil(bound)) // fact.by)  # type: ignore[arg-type]
        places |= {place, place + 1}
    return [fact.options[place] for place in sorted(places) if 0 <= place < len(fact.options)]


def _kinds(definition: Definition, asked: Asked, values: Mapping[str, list[Value]]) -> tuple[Kinds, list[Kinds]]:
    """All kinds there are, and for each choice those for which its conditions hold."""
    whole: dict[str, frozenset[int]] = {}
    choices: dict[int, dict[str, frozenset[int]]] = defaultdict(dict)
    for each, tests in asked.items():
        kinds = dict.fromkeys(
            tuple(_holds(definition, name, test, value) for _, name, test in tests) for value in values[each]
        )
        whole[each] = frozenset(range(len(kinds)))
        for at, (number, *_) in enumerate(tests):
            holding = frozenset(place for place, kind in enumerate(kinds) if kind[at])
            choices[number][each] = holding & choices[number].get(each, holding)
    return whole, [choices[number] for number in range(max(choices, default=-1) + 1)]


def _holds(definition: Definition, name: str, test: Test, value: Value) -> bool:
    if name in definition.facts:
        return test.holds(value, 0)
    return test.holds(definition.deadlines[name].steps, int(value))


def _told(definition: Definition, name: str, whole: Kinds, choices: Sequence[Kinds], looks: _Looks) -> Iterator[str]:
    """Of one state. The last choice, which has no conditions, may be there to be on the safe side."""
    for number, holding in enumerate(choices):
        choice = definition.states[name].choices[number]
        when = f"states.{name}.choices.{number}.when: {_written(choice)}"
        if not all(holding.values()):
            yield f"{when} never holds{_because(definition, name, choice)}"
        elif before := _before({**whole, **holding}, choices[:number], looks):
            yield f"{when} never has its turn: {before} before it holds wherever it does; put it first, or leave it out"
        elif all(holding[each] == whole[each] for each in holding):
            remedy = "give conditions that can fail, or leave out `when` and the choices behind it"
            yield f"{when} always holds, so that no choice behind it has its turn; {remedy}"
            return


def _written(choice: Choice) -> str:
    return cut(str({name: test.model_dump(exclude_unset=True) for name, test in choice.when.items()}))


def _because(definition: Definition, state: str, choice: Choice) -> str:
    begins = [
        name for name in choice.when if name in definition.deadlines and definition.deadlines[name].starts == state
    ]
    if begins:
        return f" here, where {begins[0]!r} begins; ask for it in a later state, or leave the choice out"
    return ", for its conditions rule each other out; change one, or leave the choice out"


def _before(holding: Kinds, earlier: Sequence[Kinds], looks: _Looks) -> str:
    """Which of the earlier choices holds wherever one does; empty if none, nor all of them together."""
    if looks.spend(len(earlier)):
        for number, one in enumerate(earlier):
            if all(holding[each] <= kinds for each, kinds in one.items()):
                return f"choices.{number}"
    return "" if _leave(holding, earlier, looks) else "one of the choices"


def _leave(holding: Kinds, earlier: Sequence[Kinds], looks: _Looks) -> bool:
    """Whether earlier choices leave something that one holds for, or that would take long to find out."""
    parts: list[tuple[Kinds, Sequence[Kinds]]] = [(holding, earlier)]
    while parts:
        part, others = parts.pop()
        if not looks.spend(len(others) + 1):
            return True
        meeting = [one for one in others if not any(part[each].isdisjoint(kinds) for each, kinds in one.items())]
        if not meeting:
            return True
        first = meeting[0]
        if each := next((each for each, kinds in first.items() if not part[each] <= kinds), ""):
            parts.append(({**part, each: part[each] & first[each]}, meeting))
            parts.append(({**part, each: part[each] - first[each]}, meeting[1:]))
    return False
