"""Whether the parts of a definition agree with each other: each problem with its place, the value and the remedy."""

from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from agentmem_envs.calls import LIMIT, Refused
from agentmem_envs.text import plain
from agentmem_envs.workflow.definition import Argument, Choice, Definition, State, Tool, Value, names
from agentmem_envs.workflow.tools import accept

ROOM = 512
"""Characters of an observation kept for what the last call answered and the case's id and state."""


def problems(definition: Definition) -> Iterator[str]:
    """All that keeps a definition from being played; nothing if it can be."""
    found = [*_words(definition), *_states(definition), *_tools(definition), *_grader(definition)]
    yield from found
    if not found:  # the graph is sound only if its names are
        found = list(_paths(definition))
        yield from found
    if not found:
        yield from _unshown(definition)


def _unknown(place: str, name: str, known: Iterable[str], what: str) -> Iterator[str]:
    if name not in (known := list(known)):
        near = get_close_matches(name, known, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(known) or 'none'}"
        yield f"{place}: {name!r}: no such {what}; {hint}"


def _template(place: str, template: Value, known: Iterable[str], what: str) -> Iterator[str]:
    try:
        for name in names(template):
            yield from _unknown(place, name, known, what)
    except ValueError as error:
        yield f"{place}: {template!r}: {error}"


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
    yield from _unknown("first", definition.first, definition.states, "state")
    for name, state in definition.states.items():
        place = f"states.{name}"
        yield from _template(f"{place}.text", state.text, _known(definition), "fact or deadline")
        yield from _too_long(definition, place, state)
        for number, choice in enumerate(state.choices):
            last = number == len(state.choices) - 1
            yield from _choice(definition, f"{place}.choices.{number}", choice, last)


def _too_long(definition: Definition, place: str, state: State) -> Iterator[str]:
    longest = {name: max(len(plain(str(each))) for each in fact.options) for name, fact in definition.facts.items()}
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
        values = definition.facts[name].options if name in definition.facts else ()
        if (test.at_least, test.below) != (None, None) and any(isinstance(each, str) for each in values):
            yield f"{place}.when.{name}: at_least and below are for numbers, and this fact has texts; give equals"
    yield from _unknown(f"{place}.next", choice.next, [*definition.states, *definition.grader], "state")
    yield from _unknown(f"{place}.call.tool", choice.call.tool, definition.tools, "tool")
    if choice.call.tool in definition.tools:
        yield from _call(definition, f"{place}.call", choice, definition.tools[choice.call.tool])


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
    for value in _taken(definition, given):
        try:
            accept(argument, value)
        except Refused as refusal:
            yield f"{place}: {given!r} can be {value!r}, which is refused: {refusal}"
            return


def _taken(definition: Definition, given: Value) -> Iterable[Any]:
    inside = names(given)
    if inside == ["case"]:
        return []
    if len(inside) == 1 and given == f"{{{inside[0]}}}":
        return definition.facts[inside[0]].options if inside[0] in definition.facts else [0]
    return [given]


def _tools(definition: Definition) -> Iterator[str]:
    for name, tool in definition.tools.items():
        cases = [each for each, argument in tool.args.items() if argument.type == "case"]
        if len(cases) != 1:
            yield f"tools.{name}.args: {cases}: give exactly one argument of type case, the case that the call is about"
        for field, value in tool.sets.items():
            yield from _template(f"tools.{name}.sets.{field}", value, tool.args, "argument")
        fields = {field for each in definition.tools.values() for field in each.sets}
        for field in tool.requires:
            yield from _unknown(f"tools.{name}.requires", field, sorted(fields), "field set by a tool")


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
    if loop := _loop(definition, [definition.first], done):
        yield f"states.{loop[0]}: {' -> '.join(loop)}: a case would never end; let one of them lead to a last state"
        return
    for part, inside in (("states", definition.states), ("grader", definition.grader)):
        for name in inside:
            if name not in done:
                yield f"{part}.{name}: {name!r}: no way leads here from {definition.first!r}; add one or leave it out"


def _loop(definition: Definition, path: list[str], done: list[str]) -> list[str]:
    """The first way back found below a path, which begins and ends with the same state; `done` gets what has none."""
    for choice in definition.states[path[-1]].choices if path[-1] in definition.states else ():
        if choice.next in path:
            return [*path[path.index(choice.next) :], choice.next]
        if choice.next not in done and (found := _loop(definition, [*path, choice.next], done)):
            return found
    done.append(path[-1])
    return []


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
    _loop(definition, [definition.first], done)
    return [name for name in reversed(done) if name in definition.states]
