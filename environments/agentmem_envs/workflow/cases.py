"""Cases on their way through a workflow: what is so for one, what it has shown, and what is right for it now."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from numpy.random import Generator

from agentmem_envs.calls import Call
from agentmem_envs.workflow.definition import Choice, Definition, State, Value, fill, names


def answer(definition: Definition, state: str, values: Mapping[str, Any], at: int) -> tuple[Call, list[str]]:
    """The right call in a state at a step if these values hold, and the names that this turns on.

    `values` has the case's id as `case`, its facts, and for deadlines the last step in time. KeyError names what is
    needed and not among them.
    """
    choice, turned_on = choose(definition.states[state], values, at)
    return Call(choice.call.tool, {name: fill(value, values) for name, value in choice.call.args.items()}), turned_on


def choose(state: State, values: Mapping[str, Any], at: int) -> tuple[Choice, list[str]]:
    """The first choice whose conditions hold, and the names looked at on the way and in its call."""
    looked: list[str] = []
    for choice in state.choices:
        looked += choice.when
        if all(test.holds(values[name], at) for name, test in choice.when.items()):
            break
    looked += [name for value in choice.call.args.values() for name in names(value) if name != "case"]
    return choice, list(dict.fromkeys(looked))


def hidden(state: State) -> set[str]:
    """The names that a state's choices may need and its own text does not show."""
    asked = {name for choice in state.choices for name in choice.when}
    given = {name for choice in state.choices for value in choice.call.args.values() for name in names(value)}
    return (asked | given) - set(names(state.text)) - {"case"}


@dataclass
class Case:
    """One case. `values` are its facts and the deadlines begun, `shown` the last step that each was read at."""

    id: str
    values: dict[str, Any]
    state: str
    shown: dict[str, int] = field(default_factory=dict)
    clean: bool = True
    """No call was refused while it was in hand."""
    hidden: bool = False
    """Some decision of it turned on what its own observation did not show."""


def wrong(definition: Definition, case: Case, record: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of its record that the grader of the last state that a case came to finds to differ, as they stand."""
    holds = {field: fill(value, case.values) for field, value in definition.grader[case.state].items()}
    return {field: record.get(field) for field, value in holds.items() if record.get(field) != value}


class Caseload:
    """The open cases of an episode: those in hand, and those that come back later.

    Which case is next depends on the seed alone, never on what the agent does.
    """

    def __init__(self, definition: Definition, random: Generator) -> None:
        self._definition, self._random = definition, random
        self._hand: list[Case] = []
        self._away: list[tuple[int, Case]] = []
        self._count = 0

    @cached_property
    def _hidden(self) -> dict[str, set[str]]:
        return {name: hidden(state) for name, state in self._definition.states.items()}

    def next(self, at: int) -> tuple[Case, str]:
        """A case taken in hand at a step, and what is read of it."""
        self._hand += [case for due, case in self._away if due <= at]
        self._away = [(due, case) for due, case in self._away if due > at]
        while len(self._hand) < self._definition.open:
            self._hand.append(self.arrive())
        case = self._hand.pop(int(self._random.integers(len(self._hand))))
        return case, self.read(case, at)

    def arrive(self) -> Case:
        """A new case, in the first state, which nothing was read of."""
        self._count += 1
        drawn = {name: self._draw(fact.options) for name, fact in self._definition.facts.items()}
        name = f"case-{self._count}"
        return Case(name, {"case": name, **drawn}, self._definition.first)

    def _draw(self, options: Any) -> Value:
        drawn: Value = options[int(self._random.integers(len(options)))]
        return drawn

    def read(self, case: Case, at: int) -> str:
        """What is read of a case at a step; its deadlines that start there begin."""
        for name, deadline in self._definition.deadlines.items():
            if deadline.starts == case.state:
                case.values[name] = at + deadline.steps
        text = self._definition.states[case.state].text
        case.shown.update(dict.fromkeys(names(text), at))
        return f"[{case.id} {case.state}] {text.format_map(case.values)}"

    def back(self, case: Case, at: int) -> None:
        """A case that moved to another state: in hand again, or away until what it needs was last read long ago."""
        needed = self._hidden[case.state]
        if not needed:
            self._hand.append(case)
            return
        least, most = self._definition.delay
        last = max(case.shown[name] for name in needed)
        self._away.append((max(at, last + int(self._random.integers(least, most + 1))), case))
