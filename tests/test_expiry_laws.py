"""What always holds of what has expired, whatever was logged and whatever the rules."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import timedelta
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lawful import ENCODERS, few, shown
from strategies import CUES, logs, opened, played

from agentmem import Memory, Rule
from agentmem.recall import Weights
from agentmem.testing import FakeClock
from agentmem.types import Step

# ---- laws ------------------------------------------------------------------------------------------------------------

AGES = (timedelta(seconds=2), timedelta(seconds=9))
LIMITS: st.SearchStrategy[dict[str, Any]] = st.sampled_from([{"max_age": age} for age in AGES]) | st.builds(
    dict, max_age=st.sampled_from((None, *AGES)), max_steps=st.integers(0, 20)
)
RULES = st.lists(
    st.builds(
        lambda limits, **about: Rule(**about, **limits),
        LIMITS,
        kind=st.sampled_from((None, None, "observation", "action")),
        trust=st.sampled_from((None, None, "web", "user")),
        agent=st.sampled_from((None, None, "agent a", "agent b")),
    ),
    min_size=1,
    max_size=2,
)


def beyond(memory: Memory, rules: Sequence[Rule], pinned: set[str], held: set[str]) -> set[str]:
    """What has expired, said plainly."""
    agents = {episode.id: episode.agent for episode in memory.episodes()}
    now, gone = max(memory._core.store.times(())), set[str]()

    def about(rule: Rule, step: Step) -> bool:
        own = {"kind": step.kind, "trust": step.trust, "agent": agents[step.episode]}
        return all(getattr(rule, name) in (None, value) for name, value in own.items())

    for rule in rules:
        steps = [step for step in memory.steps() if about(rule, step)]
        if rule.max_steps is not None:
            newest = {step.id for step in steps[max(0, len(steps) - rule.max_steps) :]}
            gone |= {step.id for step in steps} - newest - pinned
        if rule.max_age is not None:
            gone |= {step.id for step in steps if now - step.logged_at.timestamp() > rule.max_age.total_seconds()}
    return gone - held


def ranking(memory: Memory) -> list[Any]:
    """What is ranked, with scores, reasons and ages; without states, which depend on the step before."""
    hits = [list(memory.rank(cue, weights=Weights(state=0))) for cue in CUES]
    return [[hit.model_dump(exclude={"section"}) for hit in found] for found in hits]


def check_law(drawn: Any, **settings: Any) -> None:
    (said, rules, encoder, sealed), clock = drawn, FakeClock()
    with played(said, encoder=encoder, clock=clock, **settings) as memory:
        if sealed:
            memory.crystallize()
        ids = [step.id for step in memory.steps()]
        memory.pin(ids[1:2])
        pinned, held = set(ids[1:2]), set(ids[2:5])
        if held:
            memory.hold("case", steps=sorted(held))
        clock.tick = 0.0
        would = memory.retain(rules)
        gone = beyond(memory, rules, pinned, held)
        contexts = [memory.recall(cue, 400, layers=layers) for cue in CUES for layers in (None, ("unit", "atom"))]
        crystals = {crystal.id: crystal for crystal in memory.crystals()}
        for hit in (hit for context in contexts for hit in context.hits):
            spans = crystals[hit.id].spans if hit.layer != "step" else ()
            assert gone.isdisjoint({hit.id, *(f"s{span.position:011d}" for span in spans)})
        again = [memory.recall(cue, 400, layers=layers) for cue in CUES for layers in (None, ("unit", "atom"))]
        assert list(map(shown, contexts)) == list(map(shown, again))
        before, found = ranking(memory), {hit.id for cue in CUES for hit in memory.rank(cue)}
        report = memory.expire()
        counts = {"dry_run", "residue", "surfaces", "certificate"}
        assert report.model_dump(exclude=counts) == would.model_dump(exclude=counts)
        assert [step.id for step in memory.steps()] == [one for one in ids if one not in gone]
        if not sealed:
            assert ranking(memory) == before
        assert {hit.id for cue in CUES for hit in memory.rank(cue)} == found
        head = memory.head()
        assert memory.expire().steps == 0
        assert memory.head() == head
        assert memory.verify().ok


DRAWN = st.tuples(logs(1, 5), RULES, ENCODERS, st.booleans())


class TestExpired:
    @few(4)
    @given(DRAWN)
    def test_it_is_never_recalled_and_what_the_preview_says_is_removed_once(self, drawn: Any) -> None:
        check_law(drawn)

    @pytest.mark.slow
    @few(100)
    @given(st.tuples(logs(1, 14), RULES, ENCODERS, st.booleans()), st.sampled_from(("keep", "crystals")))
    def test_also_of_longer_logs_and_under_both_policies_of_bytes(self, drawn: Any, retain: str) -> None:
        check_law(drawn, retain=retain)


def expire_often(file: Path, times: int) -> int:
    """In a process of its own: how many steps it removed."""
    with opened(file) as memory:
        return sum(memory.expire().steps for _ in range(times))


@pytest.mark.slow
def test_processes_that_remove_while_another_logs_and_holds_remove_each_step_once(file: Path) -> None:
    with opened(file) as memory, ProcessPoolExecutor(2, get_context("spawn")) as pool:
        memory.retain([Rule(max_steps=5)])
        episode = memory.episode(id="desk")
        removed = [pool.submit(expire_often, file, 8) for _ in range(2)]
        for n in range(120):
            episode.log(f"Caller {n} asks about the boat house.", subjects=["ann"] if n % 10 == 0 else [])
            if n == 60:
                memory.hold("case 17", subject="ann")
        gone = sum(one.result() for one in removed) + memory.expire().steps
        left = [step.subjects for step in memory.steps()]
        assert gone == 120 - len(left)
        assert left.count(("ann",)) >= 5
        assert memory.expire().steps == 0
        assert memory.verify().ok
