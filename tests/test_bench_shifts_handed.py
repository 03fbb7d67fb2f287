"""What `agentmem bench environments shifts` hands a policy in place of what would be recalled."""

from __future__ import annotations

import pytest
from shifts import Played, by_oracle

from agentmem import Memory
from agentmem.bench.environments.handed import Handed, Text, lines_of
from agentmem.rollout import ScriptedPolicy, rollout
from agentmem.rollout.reading import SHIFT
from agentmem.tokens import count
from agentmem.types import PlanningContext

DESK = "agentmem/ShiftShop-Drift-v0"
NOTED = [
    Text(0, "Supervisor", "Bulletin: the closing code of Lamp is AA-1."),
    Text(0, "Supervisor", "Acknowledge with the subject Lamp."),
    Text(1, "Ann Lee", "Close it with code AA-1."),
    Text(2, "Supervisor", "Bulletin: the closing code of Lamp changes."),
    Text(2, "Supervisor", "From now on it is BB-2."),
    Text(2, "Supervisor", "Acknowledge with the subject Lamp."),
    Text(3, "Ann Lee", "Close it with code BB-2."),
]


@pytest.mark.parametrize(
    ("value", "stale", "shown", "places"),
    [
        ("BB-2", None, 2, {3, 4}),
        ("BB-2", "AA-1", 2, {0, 3, 4}),
        ("AA-1", None, 0, {0}),
        ("BB-2", "AA-1", 3, {2, 6}),
        ("CC-3", None, 2, set()),
    ],
)
def test_a_fact_is_said_by_its_last_valid_showing_and_by_what_it_superseded_there(
    value: str, stale: str | None, shown: int, places: set[int]
) -> None:
    assert lines_of({"value": value, "stale": stale, "shown": shown}, NOTED) == places


def handed_in(shift: Played, budget: int) -> tuple[Handed, list[PlanningContext]]:
    """Who plays a shift at the shop as the oracle did, and what he is shown at each step."""
    shown: list[PlanningContext] = []
    acts = ScriptedPolicy(lambda observation, context: shown.append(context) or shift.right[len(shown) - 1])
    handed = Handed(acts, "as the oracle", 0, SHIFT, budget)
    options = {"split": "test", "steps": len(shift.texts)}
    with Memory.open(":memory:", durability="process") as memory:
        report = rollout(DESK, handed, memory, budget=budget, options=options, recall=handed.asks, name="as the oracle")
    assert report.solved == 1
    return handed, shown


@pytest.fixture(scope="module")
def shift() -> Played:
    (played,) = by_oracle("shop", 1, 300, "test", drift=True)
    return played


@pytest.fixture(scope="module")
def at_ease(shift: Played) -> tuple[Handed, list[PlanningContext]]:
    """In a budget that leaves nothing out."""
    return handed_in(shift, 512)


def test_where_a_call_turns_on_what_was_shown_the_policy_sees_what_says_it_and_nothing_else(
    shift: Played, at_ease: tuple[Handed, list[PlanningContext]]
) -> None:
    handed, shown = at_ease
    logged: set[str] = set()
    turned = 0
    for text, needs, context in zip(shift.texts, shift.needs, shown, strict=True):
        said = context.text.split("\n")
        assert count(context.text) == context.tokens <= 512
        if needs:
            turned += 1
            assert {line.removeprefix("observation: ") for line in said if line[0] != "["} <= logged
            assert all(any(need["value"] in line for line in said) for need in needs)
            assert all(need["stale"] in context.text for need in needs if need["stale"])
            assert len(said) <= 8 * len(needs)
        logged |= set(SHIFT.texts({"text": text}))
    assert turned > 30
    assert handed.told() == {
        "needed_fact_recall": 1.0,
        "context_tokens_mean": sum(context.tokens for context in shown) / len(shown),
    }


def test_where_nothing_of_before_is_needed_the_policy_is_shown_what_is_recalled(
    shift: Played, at_ease: tuple[Handed, list[PlanningContext]]
) -> None:
    _, shown = at_ease
    recalled = [context for needs, context in zip(shift.needs, shown, strict=True) if not needs]
    assert all(context.store_version for context in recalled)
    assert sum(len(context.hits) > 5 for context in recalled) > 150


def test_what_is_handed_is_within_the_budget_and_what_is_left_out_is_not_found(shift: Played) -> None:
    handed, shown = handed_in(shift, 24)
    assert all(count(context.text) == context.tokens <= 24 for context in shown)
    found = handed.told()["needed_fact_recall"]
    assert found is not None
    assert 0 < found < 1
