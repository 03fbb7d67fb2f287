"""Whether the parts of a definition agree with each other, and whether cases can be handled as it wants: each problem
with its place, the value and the remedy.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice, product
from typing import Any

from numpy.random import Generator, default_rng

from agentmem_envs.calls import LIMIT, Refused
from agentmem_envs.workflow.cases import Caseload, answer, choose, hidden, wrong
from agentmem_envs.workflow.definition import (
    Argument,
    Choice,
    Definition,
    Fact,
    State,
    Test,
    Tool,
    Value,
    fill,
    names,
)
from agentmem_envs.workflow.mistakes import bare, cut, hint
from agentmem_envs.workflow.tools import accept, do
from agentmem_envs.workflow.turns import idle

ROOM = 512
"""Characters of an observation kept for what the last call answered and the case's id and state."""
TAKEN, EVENTS = 1_000, 500
"""Values of a template that are tried, and events that are handled by the right calls, about, at most."""
EPISODES, LONG = 20, 1_000
"""Episodes that are played to see a case end, if they are no longer than that."""


def problems(definition: Definition) -> Iterator[str]:
    """All that keeps a definition from being played; nothing if it can be."""
    found = [*_words(definition), *_states(definition), *_tools(definition), *_grader(definition)]
    yield from found
    if not found:  # the graph is sound only if its names are
        found = list(_paths(definition))
        yield from found
    if not found:
        found = [*_unshown(definition), *idle(definition)] or [*_too_late(definition)] or [*_endless(definition)]
        yield from found
    if not found:
        yield from _handled(definition)


def _unknown(place: str, name: str, known: Iterable[str], what: str) -> Iterator[str]:
    if name not in (known := list(known)):
        yield f"{place}: {cut(repr(name))}: no such {what}; {hint(name, known)}"


def _template(place: str, template: Value, known: Iterable[str], what: str) -> Iterator[str]:
    try:
        for name in names(template):
            yield from _unknown(place, name, known, what)
    except ValueError as error:
        yield f"{place}: {cut(repr(template))}: {error}"


def _known(definition: Definition) -> list[str]:
    return ["case", *definition.facts, *definition.deadlines]


def _words(definition: Definition) -> Iterator[str]:
    taken = {"case": "the word for a case's id"}
    for part, inside in (("facts", definition.facts), ("deadlines", definition.deadlines)):
        for name in inside:
            if name in taken:
                yield f"{part}.{name}: {name!r}: is already {taken[name]}; give another name"
            taken[name] = f"one of the {part}"
    for name, deadline in definition.deadlines.items():
        yield from _unknown(f"deadlines.{name}.starts", deadline.starts, definition.states, "state")
    for name in definition.grader.keys() & definition.states.keys():
        yield f"grader.{name}: {name!r}: is a state with choices; the grader has last states, which have none"


def _states(definition: Definition) -> Iterator[str]:
    if definition.first in definition.grader:
        known = ", ".join(definition.states)
        yield f"first: {definition.first!r}: is a last state, which the grader has; begin in one of the states: {known}"
    else:
        yield from _unknown("first", definition.first, definition.states, "state")
    for name, state in definition.states.items():
        place = f"states.{name}"
        yield from _template(f"{place}.text", state.text, _known(definition), "fact or deadline")
        yield from _too_long(definition, place, state)
        for number, choice in enumerate(state.choices):
            last = number == len(state.choices) - 1
            yield from _choice(definition, f"{place}.choices.{number}", choice, last)


def _too_long(definition: Definition, place: str, state: State) -> Iterator[str]:
    longest = {name: max(len(str(each)) for each in fact.ends) for name, fact in definition.facts.items()}
    try:
        length = len(state.text) + sum(longest.get(name, 20) for name in names(state.text))
    except ValueError:
        return  # told as a template
    if length > LIMIT - ROOM:
        yield f"{place}.text: {length} characters with its facts: give at most {LIMIT - ROOM}"


def _choice(definition: Definition, place: str, choice: Choice, last: bool) -> Iterator[str]:
    if last == bool(choice.when):
        remedy = "leave `when` out of the last choice" if last else "give `when`, or put this choice last"
        yield f"{place}.when: {sorted(choice.when)}: the last choice, and it alone, holds always; {remedy}"
    for name, test in choice.when.items():
        yield from _unknown(f"{place}.when", name, _known(definition)[1:], "fact or deadline")
        if (name in definition.deadlines) != (test.passed is not None):
            yield f"{place}.when.{name}: `passed` is for deadlines, and the other conditions for facts"
        elif name in definition.facts:
            yield from _condition(f"{place}.when.{name}", test, definition.facts[name])
    known = [*definition.states, *definition.grader]
    yield from _unknown(f"{place}.next", choice.next, known, "state, nor a last one in `grader`")
    yield from _unknown(f"{place}.call.tool", choice.call.tool, definition.tools, "tool")
    if choice.call.tool in definition.tools:
        yield from _call(definition, f"{place}.call", choice, definition.tools[choice.call.tool])


def _condition(place: str, test: Test, fact: Fact) -> Iterator[str]:
    """A condition fits the values of its fact, and holds for one of them."""
    if test.equals is None and any(isinstance(each, str) for each in fact.values):
        yield f"{place}: at_least and below are for numbers, and this fact has texts; give equals"
    elif not (any(test.holds(each, 0) for each in fact.ends) if test.equals is None else _has(fact, test.equals)):
        given, there = test.model_dump(exclude_unset=True), ", ".join(map(repr, fact.values[:10]))
        there = there or f"{fact.ends[0]} to {fact.ends[-1]}"
        quotes = bare(any(isinstance(each, str) for each in (test.equals, *fact.values)), test.equals, *fact.values)
        yield f"{place}: {given} holds for none of the fact's values, {there}; give a condition that can hold{quotes}"


def _has(fact: Fact, value: Value) -> bool:
    """Whether a value is one of a fact's, told at once of a long range too."""
    if fact.values:
        return value in fact.values
    return not isinstance(value, str) and int(value) == value and int(value) in fact.options


def _call(definition: Definition, place: str, choice: Choice, tool: Tool) -> Iterator[str]:
    for name in choice.call.args:
        yield from _unknown(f"{place}.args", name, tool.args, f"argument of {choice.call.tool}")
    for name, argument in tool.args.items():
        if name not in choice.call.args:
            yield f"{place}.args: {name!r} is missing; {choice.call.tool} takes {', '.join(tool.args)}"
        else:
            yield from _argument(definition, f"{place}.args.{name}", choice.call.args[name], argument)


def _argument(definition: Definition, place: str, given: Value, argument: Argument) -> Iterator[str]:
    """Every value that a template can take must be one that the tool takes."""
    wrong = list(_template(place, given, _known(definition), "fact or deadline"))
    yield from wrong
    if wrong or (argument.type == "case") != (given == "{case}"):
        if not wrong:
            yield f"{place}: {given!r}: give {{case}} for an argument of type case, and only there"
        return
    for value in _taken(definition, given, len(argument.one_of) + 1):
        try:
            accept(argument, value)
        except Refused as refusal:
            quotes = bare(argument.type == "text", value, *argument.one_of)
            yield f"{place}: {given!r} can be {value!r}, which is refused: {refusal}{quotes}"
            return


def _taken(definition: Definition, given: Value, several: int) -> Iterator[Any]:
    """What a template can be, by the ends of each range and `several` more of it."""
    inside = list(dict.fromkeys(names(given)))
    values = [_values(definition, name, several) for name in inside]
    for each in islice(product(*values), TAKEN):
        yield fill(given, dict(zip(inside, each, strict=True)))


def _values(definition: Definition, name: str, several: int) -> list[Value]:
    if name == "case":
        return ["case-1"]
    if name in definition.facts:
        return [*definition.facts[name].ends, *islice(definition.facts[name].options, several)]
    steps = definition.deadlines[name].steps
    return [steps, definition.steps + steps]


def _tools(definition: Definition) -> Iterator[str]:
    for name, tool in definition.tools.items():
        cases = [each for each, argument in tool.args.items() if argument.type == "case"]
        if len(cases) != 1:
            yield f"tools.{name}.args: {cases}: give exactly one argument of type case, the case that the call is about"
        for each, argument in tool.args.items():
            yield from _limited(f"tools.{name}.args.{each}", argument)
        for field, value in tool.sets.items():
            yield from _template(f"tools.{name}.sets.{field}", value, tool.args, "argument")
        fields = {field for each in definition.tools.values() for field in each.sets}
        for field in tool.requires:
            yield from _unknown(f"tools.{name}.requires", field, sorted(fields), "field set by a tool")


def _limited(place: str, argument: Argument) -> Iterator[str]:
    """The limits of an argument are of its type and leave something."""
    least, most = argument.least, argument.most
    if (least, most) != (None, None) and argument.type not in ("integer", "number"):
        yield f"{place}: least and most are for numbers, and this is of type {argument.type}; leave them out"
    elif least is not None and most is not None and least > most:
        yield f"{place}: least {least} and most {most}: give the lesser one as least"
    for value in argument.one_of:
        try:
            accept(argument, value)
        except Refused as refusal:
            yield f"{place}.one_of: {value!r}: {refusal}, or leave it out{bare(argument.type == 'text', value)}"


def _grader(definition: Definition) -> Iterator[str]:
    fields = sorted({field for tool in definition.tools.values() for field in tool.sets})
    for name, holds in definition.grader.items():
        if not holds:
            yield f"grader.{name}: nothing is asserted; give at least one field of the record and its value"
        for field, value in holds.items():
            yield from _unknown(f"grader.{name}", field, fields, "field set by a tool")
            yield from _template(f"grader.{name}.{field}", value, _known(definition), "fact or deadline")


def _paths(definition: Definition) -> Iterator[str]:
    """A case must end: no way leads back. Every state must be reached."""
    done: list[str] = []
    if loop := _loop(definition, done):
        yield f"states.{loop[0]}: {' -> '.join(loop)}: a case would never end; let one of them lead to a last state"
        return
    for part, inside in (("states", definition.states), ("grader", definition.grader)):
        for name in inside:
            if name not in done:
                yield f"{part}.{name}: {name!r}: no way leads here from {definition.first!r}; add one or leave it out"


def _loop(definition: Definition, done: list[str]) -> list[str]:
    """The first way back found, which begins and ends with the same state; `done` gets the states that have none, each
    behind those it leads to.
    """
    path, left = [definition.first], [_ways(definition, definition.first)]
    while path:
        following = next((each for each in left[-1] if each not in done), None)
        if following is None:
            done.append(path.pop())
            left.pop()
        elif following in path:
            return [*path[path.index(following) :], following]
        else:
            path.append(following)
            left.append(_ways(definition, following))
    return []


def _ways(definition: Definition, state: str) -> Iterator[str]:
    return iter([choice.next for choice in definition.states[state].choices] if state in definition.states else [])


def _unshown(definition: Definition) -> Iterator[str]:
    """Whatever a state or the grader needs must have been read by then on every way there."""
    shown: Mapping[str, set[str]] = _shown(definition)
    for name, state in definition.states.items():
        told = shown[name] | set(names(state.text)) | {"case"}
        for number, choice in enumerate(state.choices):
            place = f"states.{name}.choices.{number}"
            needed = [*choice.when, *(each for value in choice.call.args.values() for each in names(value))]
            for each in dict.fromkeys(needed):
                if each not in told:
                    yield f"{place}: {{{each}}} is needed and was not shown; put it into the text of an earlier state"
    for name, holds in definition.grader.items():
        for field, value in holds.items():
            for each in set(names(value)) - shown[name] - {"case"}:
                yield f"grader.{name}.{field}: {{{each}}} was not shown on every way here; show it, or assert less"
    for name, deadline in definition.deadlines.items():
        for state_name, state in definition.states.items():
            if name in names(state.text) and deadline.starts not in _before(definition, state_name) | {state_name}:
                yield f"states.{state_name}.text: {{{name}}} begins only in {deadline.starts!r}; show it there or later"


def _shown(definition: Definition) -> dict[str, set[str]]:
    """state: the names that every way to it has shown."""
    shown: dict[str, set[str]] = {definition.first: set()}
    for name in _ordered(definition):
        told = shown[name] | set(names(definition.states[name].text))
        for choice in definition.states[name].choices:
            shown[choice.next] = shown[choice.next] & told if choice.next in shown else set(told)
    return shown


def _too_late(definition: Definition) -> Iterator[str]:
    """An episode is long enough for a hidden fact to be needed, where there is one, and for a case to end."""
    steps, episode = _earliest(definition), definition.steps
    needing = [name for name, state in definition.states.items() if hidden(state)]
    first = min(needing, key=lambda name: steps[name], default="")
    end = min(definition.grader, key=lambda name: steps[name])
    if first and steps[first] >= episode:
        yield (
            f"delay: {list(definition.delay)}: no hidden fact is needed before step {steps[first]}, in {first!r}, and "
            f"the episode ends after {episode} steps; give more than {steps[first]}, or a shorter delay"
        )
    elif steps[end] > episode:
        yield f"steps: {episode}: no case can end before step {steps[end]}, in {end!r}; give {steps[end]} or more"


def _earliest(definition: Definition) -> dict[str, int]:
    """The first step at which each state can be read, or a case have come there."""
    steps: dict[str, int] = {definition.first: 0}
    shown: dict[str, int] = {}
    for state, told in ((name, definition.states[name]) for name in _ordered(definition)):
        if needed := hidden(told):
            steps[state] = max(steps[state], definition.delay[0] + max(shown[name] for name in needed))
        for name in names(told.text):
            shown[name] = min(shown.get(name, steps[state]), steps[state])
        for choice in told.choices:
            steps[choice.next] = min(steps.get(choice.next, steps[state] + 1), steps[state] + 1)
    return steps


def _endless(definition: Definition) -> Iterator[str]:
    """A case ends at least in one of some episodes: which is next depends on the seed alone."""
    if definition.steps <= LONG and not any(_ends(definition, seed) for seed in range(EPISODES)):
        yield (
            f"steps: {definition.steps}: with open: {definition.open} no case came to its end in {EPISODES} episodes; "
            "give more steps, or have fewer open at a time"
        )


def _ends(definition: Definition, seed: int) -> bool:
    """Whether a case does in the episode of a seed, whatever is called."""
    caseload = Caseload(definition, default_rng(seed))
    for at in range(definition.steps):
        case, _ = caseload.next(at)
        case.state = choose(definition.states[case.state], case.values, at)[0].next
        if case.state in definition.grader:
            return True
        caseload.back(case, at + 1)
    return False


def _before(definition: Definition, wanted: str) -> set[str]:
    """The states that every way to one goes through."""
    passed: dict[str, set[str]] = {definition.first: set()}
    for name in _ordered(definition):
        for choice in definition.states[name].choices:
            way = passed[name] | {name}
            passed[choice.next] = passed[choice.next] & way if choice.next in passed else set(way)
    return passed[wanted]


def _ordered(definition: Definition) -> list[str]:
    """The states, each before those it leads to."""
    done: list[str] = []
    _loop(definition, done)
    return [name for name in reversed(done) if name in definition.states]


def _handled(definition: Definition) -> Iterator[str]:
    """In some cases, handled by the right calls alone, none of these is refused and the grader finds nothing wrong."""
    random = default_rng(0)
    caseload, told = Caseload(definition, random), dict[str, str]()
    for _ in range(max(1, EVENTS // len(definition.states))):
        told |= dict(_way(definition, caseload, random))
    yield from (f"{place}: {said}" for place, said in told.items())


def _way(definition: Definition, caseload: Caseload, random: Generator) -> Iterator[tuple[str, str]]:
    """What goes wrong on the way of a new case, with its place. Deadlines may pass or not."""
    case, at, far = caseload.arrive(), 0, 2 * max((each.steps for each in definition.deadlines.values()), default=1)
    records: dict[str, dict[str, Any]] = {case.id: {}}
    while case.state in definition.states:
        caseload.read(case, at)
        try:
            do(definition.tools, answer(definition, case.state, case.values, at)[0], records)
        except Refused as refusal:
            yield f"states.{case.state}", f"the right call is refused on a way here: {refusal}; let it be allowed"
            return
        case.state = choose(definition.states[case.state], case.values, at)[0].next
        at += int(random.integers(1, far))
    for field, value in wrong(definition, case, records[case.id]).items():
        wanted = definition.grader[case.state][field]
        quotes = bare(isinstance(value, str), wanted) + bare(isinstance(wanted, str), value)
        yield f"grader.{case.state}.{field}", f"right calls leave {value!r} on a way here; assert what they set{quotes}"
