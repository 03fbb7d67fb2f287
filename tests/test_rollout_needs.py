"""Which of the facts that a decision needed a planning context showed."""

from __future__ import annotations

from typing import Any

import gymnasium
import pytest
from gymnasium import spaces
from rolls import SHOP, memory_at, shop

from agentmem.rollout import ScriptedPolicy, rollout
from agentmem.rollout.reading import SHIFT
from agentmem.rollout.trail import Trail

TWO = ScriptedPolicy(lambda observation, context: 2)


class Coded(gymnasium.Env[Any, Any]):
    """Tells a code at the first step, and needs what `need` says of it at the second."""

    observation_space, action_space = spaces.Dict({"text": spaces.Text(90)}), spaces.Discrete(3)

    def __init__(self, need: dict[str, Any]) -> None:
        self.need = {"id": "code", "kind": "code", "shown": 0, **need}

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self._at = 0
        return {"text": "The code of the red door is QX-11. Acknowledge it now."}, {"needs": []}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self._at += 1
        return {"text": "Open the door."}, 0.0, self._at == 2, False, {"needs": [self.need] if self._at == 1 else []}


@pytest.mark.parametrize(
    ("need", "found"), [({"value": "QX-11"}, 1.0), ({"value": "QX-12"}, 0.0), ({}, 1.0), ({"shown": 1}, 0.0)]
)
def test_a_needed_fact_is_found_where_a_text_of_its_showing_says_its_value(need: dict[str, Any], found: float) -> None:
    with memory_at() as memory:
        assert rollout(lambda: Coded(need), TWO, memory, kind="full").needed_fact_recall == found


@pytest.mark.parametrize("layer", ["unit", "cluster"])
def test_a_crystal_shows_a_fact_where_it_is_made_of_the_step_and_says_the_value(layer: str) -> None:
    with memory_at() as memory:
        shop(memory, episodes=1, options={"steps": 150})
        place = memory.scoped(SHOP, "0")
        trail, made = Trail(place, 0, 0, SHIFT), {crystal.id: crystal for crystal in place.crystals()}
        steps = {step.position: step for step in place.steps()}
        hits = place.recall("the closing code", budget=2_000, layers=[layer]).hits
        assert hits
        for hit in hits:
            span = made[hit.id].spans[0]
            turn, said = steps[span.position].data["n"], steps[span.position].text[span.start : span.end]
            assert trail._shows(hit, {"shown": turn, "value": said}) == (steps[span.position].kind == "observation")
            assert not trail._shows(hit, {"shown": turn, "value": "QX-12"})
            assert not trail._shows(hit, {"shown": 1_000, "value": said})
