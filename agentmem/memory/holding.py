"""Rules and holds in the log: what they name, what is under a hold, and the events that set them. Knows the core."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from agentmem.errors import ErasedError, HeldError, InvalidInputError
from agentmem.index import step_position
from agentmem.memory.core import Core
from agentmem.memory.expired import tell
from agentmem.records import brief, canonical, why_of
from agentmem.types import Hold, Namespace, Record, Rule

LIMITS = ("max_age", "max_steps", "min_salience")
Rules = Sequence[Rule | Mapping[str, Any]] | str | bytes


def rules_given(given: Rules) -> tuple[Rule, ...]:
    """Rules as they are, as mappings, or all of them as JSON; InvalidInputError for what makes none."""
    try:
        parsed = json.loads(given) if isinstance(given, str | bytes) else given
        if isinstance(parsed, Mapping | Rule):
            raise InvalidInputError(f"rules {brief(given)} are one {type(parsed).__name__}; give a list of rules")
        rules = tuple(one if isinstance(one, Rule) else Rule.model_validate(one) for one in parsed)
    except InvalidInputError:
        raise
    except (ValueError, TypeError, RecursionError) as error:
        raise InvalidInputError(f"rules {brief(given)} cannot be read ({why_of(error)}); see agentmem.Rule") from None
    for rule in rules:
        if all(getattr(rule, name) is None for name in LIMITS):
            raise InvalidInputError(
                f"the rule {brief(rule)} has no limit; give it {', '.join(LIMITS[:-1])} or {LIMITS[-1]}"
            )
    return rules


def check_rules(core: Core, namespace: Namespace, rules: Sequence[Rule]) -> None:
    """ErasedError for a rule about a subject that was erased. Hold `core.lock`."""
    for subject in {rule.subject for rule in rules} - {None}:
        _check_not_erased(core, namespace, str(subject))


def set_rules(core: Core, namespace: Namespace, rules: Sequence[Rule], who: str | None) -> None:
    """Log checked rules in the place of those in force; nothing where they are these. Hold `core.lock`."""
    ruled = core.index(namespace).ruled
    if tuple(rules) != ruled.rules:
        body = {"rules": [rule.model_dump(mode="json", exclude_none=True) for rule in rules]}
        _log(core, Record("rules", namespace, actor=who, body=canonical(body)), ruled.last(None))


def set_hold(core: Core, namespace: Namespace, hold: Hold, held: bool, who: str | None) -> None:
    """Log that a hold is made, or lifted. Hold `core.lock`."""
    if hold.subject is not None:
        _check_not_erased(core, namespace, hold.subject)
    index = core.index(namespace)
    body: dict[str, Any] = {"name": hold.name, "held": held}
    if held:
        body |= {"subject": hold.subject, "reason": hold.reason, "steps": list(map(step_position, hold.steps)) or None}
    said = canonical({name: value for name, value in body.items() if value is not None})
    episode = hold.episode if held else None
    _log(core, Record("hold", namespace, episode, actor=who, body=said), index.ruled.last(hold.name))


def is_new(core: Core, namespace: Namespace, hold: Hold) -> bool:
    """Whether a hold is not there yet. HeldError where its name is on something else. Hold `core.lock`."""
    there = core.index(namespace).ruled.holds.get(hold.name)
    if there is None:
        return True
    if _criterion(there) != _criterion(hold):
        raise HeldError(
            f"the hold {hold.name!r} is on {_held_on(there)}, not {_held_on(hold)}, and nothing was changed; "
            f"lift({hold.name!r}) first, or give this one another name"
        )
    return hold.reason is not None and core.masked(namespace, hold.reason) != there.reason


def _criterion(hold: Hold) -> tuple[str | None, str | None, frozenset[str]]:
    """What a hold is on, in whatever order its steps were given."""
    return hold.subject, hold.episode, frozenset(hold.steps)


def _held_on(hold: Hold) -> str:
    if steps := sorted(set(hold.steps)):
        return f"{len(steps):,} {'step' if len(steps) == 1 else 'steps'}, {brief(steps)}"
    return f"subject {hold.subject!r}" if hold.subject is not None else f"episode {hold.episode!r}"


def under(core: Core, namespace: Namespace, name: str) -> int:
    """How many steps are under a hold. Hold `core.lock`."""
    index = core.index(namespace)
    tell(core.store, index)
    return len(index.ruled.under(index, index.ruled.holds[name]))


def _log(core: Core, event: Record, last: float) -> None:
    """However the clock was set, what is said last counts."""
    core.store.append([replace(event, logged_at=max(core.clock(), last))])


def _check_not_erased(core: Core, namespace: Namespace, subject: str) -> None:
    why, _ = core.store.barred(namespace, subject) or ("", 0)
    if why == "erased":
        raise ErasedError(
            f"subject {subject!r} in namespace {namespace} was erased, and nothing names it any more; "
            f"consent({subject!r}) lets it in"
        )


# ---- what erasing asks -----------------------------------------------------------------------------------------------


def held(core: Core, namespace: Namespace) -> set[int]:
    """Log positions of the steps that are under a hold. Hold `core.lock`."""
    index = core.index(namespace)
    tell(core.store, index)
    return set(index.ruled.held(index).tolist())


def check_holds(core: Core, namespace: Namespace, steps: Sequence[Record], events: Sequence[Record]) -> None:
    """HeldError where a hold is on one of the steps that are to be erased, or is itself one of the events. Hold
    `core.lock`."""
    index = core.index(namespace)
    if not (holds := index.ruled.holds):
        return
    tell(core.store, index)
    going = {json.loads(event.body)["name"] for event in events if event.type == "hold"}
    found = dict.fromkeys(sorted(going & holds.keys()), 0) | index.ruled.holding(index, [one.position for one in steps])
    if found:
        raise HeldError(_refusal(namespace, len(steps), found, holds))


def _refusal(namespace: Namespace, n_steps: int, found: Mapping[str, int], holds: Mapping[str, Hold]) -> str:
    """found: the holds that are on what is to be erased, and on how many of its steps each is."""
    named = [f"the hold {name!r} on {_held_on(holds[name])}" for name in found]
    some = [f"{said} keeps {count:,} of them" for said, count in zip(named, found.values(), strict=True) if count]
    lift = " and ".join(f"lift({name!r})" for name in found)
    if some:
        asked = f"of {n_steps:,} steps to be erased from namespace {namespace} some are held: {', and '.join(some)}"
        return f"{asked}. Nothing was erased; erase the others by their ids, or {lift} first"
    asked = f"what is to be erased from namespace {namespace} is named by {', and '.join(named)}"
    return f"{asked}, though none of its {n_steps:,} steps is held. Nothing was erased; {lift} first"


def naming(core: Core, namespace: Namespace, subject: str | None) -> list[Record]:
    """The rules and holds of a namespace, in force or not, that name a subject."""
    events = [(one, json.loads(one.body)) for one in core.store.scan(namespace, types=["rules", "hold"])]
    holds = {body["name"] for _, body in events if body.get("subject") == subject and "subject" in body}
    return [one for one, body in events if body.get("name") in holds or subject in _subjects(body)]


def _subjects(body: Mapping[str, Any]) -> set[str | None]:
    return {rule["subject"] for rule in body.get("rules", ()) if "subject" in rule}


def drop_rules(core: Core, namespace: Namespace, subject: str | None, who: str | None) -> bool:
    """Log the rules in force without those about a subject; False where there are none."""
    rules = core.index(namespace).ruled.rules
    left = [rule for rule in rules if subject is None or rule.subject != subject]
    if len(left) < len(rules):
        set_rules(core, namespace, left, who)
    return len(left) < len(rules)
