"""`agentmem.rollout`: what is logged, what a policy is shown, what a report says, and what is refused."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

import numpy as np
import pytest
from gymnasium import spaces
from gymnasium.utils.env_checker import data_equivalence
from rolls import SHOP, Counting, logged, memory_at, shop

from agentmem.errors import InvalidInputError, SettingsError
from agentmem.rollout import RandomPolicy, Reading, ScriptedPolicy, load_policy, rollout
from agentmem.rollout.contexts import Log, newest
from agentmem.rollout.lanes import SLOW, TRIED, Lanes, has_text, seconds_a_step
from agentmem.rollout.reading import may_write
from agentmem.rollout.trail import TOGETHER
from agentmem.rollout.values import pack, unpack
from agentmem.tokens import count
from agentmem.types import PlanningContext

TWO = ScriptedPolicy(lambda observation, context: 2)


def test_every_step_is_logged_once_and_no_dummy_step_is() -> None:
    with memory_at() as memory:
        Counting.made = 0
        report = rollout(Counting, TWO, memory, kind="none", episodes=5, workers=3, apart=False)
        assert report.steps == Counting.made == sum(number % 3 + 2 for number in range(5))
        run = "run"
        assert logged(memory, "Counting", "1") == [
            (run, "observation", "[1, 0]", None, False),
            (run, "action", "2", None, False),
            (run, "observation", "[1, 1]", 2.0, False),
            (run, "action", "2", None, False),
            (run, "observation", "[1, 2]", 2.0, False),
            (run, "action", "2", None, False),
            (run, "observation", "[1, 3]", 2.0, True),
        ]


@pytest.mark.parametrize("words", [False, True])
def test_lanes_in_processes_of_their_own_give_the_same_as_together(words: bool) -> None:
    make = lambda: Counting(words)  # noqa: E731
    reports = []
    for workers, apart in ((1, False), (3, False), (2, True)):
        with memory_at() as memory:
            reports.append(
                rollout(make, TWO, memory, kind="window", budget=60, episodes=4, workers=workers, apart=apart)
            )
    assert reports[0].digest == reports[1].digest == reports[2].digest
    assert [each.seed for each in reports[0].episodes] == [0, 1, 2, 3]


def test_how_long_a_step_takes_is_tried_no_longer_than_it_takes_to_tell() -> None:
    class Slow(Counting):
        def step(self, action: Any) -> Any:
            time.sleep(TRIED * SLOW * 1.5)
            return super().step(action)

    Counting.made = 0
    assert seconds_a_step(Slow(), 0) > SLOW
    assert Counting.made == 1


def test_a_first_reset_that_takes_long_says_nothing_of_a_step() -> None:
    class Loading(Counting):
        def reset(self, **keywords: Any) -> Any:
            time.sleep(0 if hasattr(self, "_at") else 0.3)
            return super().reset(**keywords)

    assert seconds_a_step(Loading(), 0) < 0.3


def test_ctrl_c_is_left_to_the_process_that_began() -> None:
    lanes = Lanes(Counting, 2, apart=True)
    try:
        lanes.begin([3, 4])
        for process in lanes._vector.processes:  # type: ignore[attr-defined]
            os.kill(process.pid, signal.SIGINT)
        assert len(lanes.step({0: 1, 1: 1})) == 2
    finally:
        lanes.close()


def test_text_is_not_garbled_in_processes_of_their_own() -> None:
    lanes = Lanes(lambda: Counting(words=True), 2, apart=True)
    try:
        begun = lanes.begin([3, 4])
        assert [took.observation["text"] for took in begun.values()] == ["run 3 step 0", "run 4 step 0"]
        stepped = lanes.step({0: 1, 1: 1})
        assert [took.observation["text"] for took in stepped.values()] == ["run 3 step 1", "run 4 step 1"]
        assert stepped[0].info == {"at": 1, "mixed": 0.5}
    finally:
        lanes.close()
    assert has_text(Counting(words=True).observation_space)
    assert not has_text(Counting().observation_space)


def test_a_rollout_is_exact_for_its_seed_and_another_seed_is_another_run() -> None:
    reports = []
    for seed, workers in ((0, 1), (0, 2), (1, 2)):
        with memory_at() as memory:
            reports.append(shop(memory, seed=seed, workers=workers))
    assert reports[0].model_dump(exclude={"bytes"}) == reports[1].model_dump(exclude={"bytes"})
    assert reports[1].episodes[1].digest == reports[2].episodes[0].digest
    assert reports[1].digest != reports[2].digest


def test_each_kind_of_memory_shows_what_it_says_within_the_budget() -> None:
    shown: dict[str, list[PlanningContext | None]] = {}
    for kind in ("crystals", "window", "none", "full"):
        seen = shown.setdefault(kind, [])

        def act(observation: Any, context: PlanningContext | None, seen: list[Any] = seen) -> int:
            seen.append(context)
            return 0

        with memory_at() as memory:
            report = shop(memory, ScriptedPolicy(act), kind=kind, episodes=1, budget=120)
            assert report.return_mean < 10
    assert set(shown["none"]) == {None}
    for kind in ("crystals", "window"):
        contexts = [context for context in shown[kind] if context is not None]
        assert len(contexts) == 40
        assert all(count(context.text) == context.tokens <= 120 for context in contexts)
        assert sum(context.tokens > 90 for context in contexts) > 25
    whole = shown["full"][-1]
    assert whole is not None
    assert whole.tokens > 1_000
    newest = shown["window"][-1]
    assert newest is not None
    assert whole.hits[-1].id == newest.hits[-1].id
    assert whole.text.endswith(newest.text.removeprefix("recent:\n").partition("\n")[2])


@pytest.mark.parametrize("budget", [2, 3, 90, 300, 2_000])
def test_a_window_is_the_newest_steps_that_fit_however_many_there_are(budget: int) -> None:
    with memory_at() as memory:
        steps = memory.episode(id="e").log_many([f"{n} is done." for n in range(200)])
        for number in (0, 1, 20, 60, 110, 150, 200):
            made, of = (newest(memory, Log(), steps[:number], each) for each in (budget, None))
            assert [hit.id for hit in made.hits] == [step.id for step in steps[number - len(made.hits) : number]]
            assert made.tokens <= budget
            more = newest(memory, Log(), steps[number - len(made.hits) - 1 : number], None)
            assert len(made.hits) == len(of.hits) or more.tokens > budget


def test_the_reader_of_recalled_facts_solves_what_the_reader_of_a_window_cannot() -> None:
    solved = {}
    for kind in ("crystals", "window", "full"):
        with memory_at() as memory:
            options = {"steps": 110, "delay": 30}
            solved[kind] = shop(memory, load_policy("reader", None), kind=kind, episodes=1, options=options)
    assert solved["crystals"].solved_hidden is not None
    assert solved["window"].solved_hidden is not None
    assert solved["crystals"].solved_hidden > solved["window"].solved_hidden + 0.4
    assert solved["crystals"].needed_fact_recall == pytest.approx(1.0, abs=0.1)
    assert (solved["window"].needed_fact_recall, solved["full"].needed_fact_recall) == (0.0, 1.0)


def test_the_oracle_solves_all_and_its_report_says_so() -> None:
    with memory_at() as memory:
        report = shop(memory, kind="none")
        assert (report.solved, report.solved_hidden, report.steps) == (1.0, 1.0, 80)
        assert report.context_tokens_mean is None
        assert report.needed_fact_recall == 0.0
        assert report.bytes > 1000
        assert report.return_mean == sum(each.reward for each in report.episodes) / 2


def test_stale_choices_are_a_share_of_the_decisions_that_had_a_superseded_value() -> None:
    with memory_at() as memory:
        options = {"steps": 150, "drift": True}
        report = shop(memory, load_policy("rule", None), kind="none", episodes=1, options=options)
        chosen, of = report.episodes[0].stale
        assert of > 5
        assert report.stale == chosen / of
    with memory_at() as memory:
        assert shop(memory, kind="none", episodes=1, options=options).stale == 0.0


def test_recall_is_asked_where_the_caller_says() -> None:
    asked = []
    policy = ScriptedPolicy(lambda observation, context: asked.append(context is not None) or 0)
    with memory_at() as memory:
        shop(memory, policy, recall=lambda observation, info: bool(info["needs"]), episodes=1)
    assert 0 < sum(asked) < 30
    asked.clear()
    with memory_at() as memory:
        shop(memory, policy, recall="write", episodes=1)
    assert 0 < sum(asked) < 40
    assert may_write({"text": "Look.", "writes": np.int64(1)})
    assert not may_write({"text": "Look.", "writes": np.int64(0)})
    assert may_write({"text": "an environment that tells nothing"})
    assert may_write(np.zeros(3))


def test_an_episode_sees_nothing_of_another() -> None:
    with memory_at() as memory:
        shown: list[str] = []
        policy = ScriptedPolicy(lambda observation, context: shown.append(context.text if context else "") or 1)
        rollout(lambda: Counting(words=True), policy, memory, kind="full", episodes=3, workers=1)
        assert [text for text in shown if "run 1" in text and "run 2" in text] == []
        assert [text for text in shown if "run 1" in text] != []


def test_what_an_agent_repeats_of_recalled_text_is_marked_also_where_calls_have_an_episode_of_their_own() -> None:
    def say(observation: Any, context: PlanningContext | None) -> str:
        lines = context.text.splitlines() if context else []
        return next((f"I recall: {line}" for line in lines if len(line.split()) > 10), "nothing")

    with memory_at() as memory:
        shop(memory, ScriptedPolicy(say), episodes=1)
        acts = [step for step in memory.scoped(SHOP, "0").steps() if step.kind == "action"]
        repeats = [step for step in acts if step.text.startswith("I recall")]
        assert len(repeats) > 10
        assert all(step.episode == "calls" and step.recalled for step in repeats)
    assert sum(bool(step.recalled) for step in acts) == len(repeats)


def test_a_reading_of_your_own_says_what_is_logged() -> None:
    reading = Reading(texts=lambda seen: [f"at {seen[1]:.0f}"], act=lambda seen, action: "on")
    with memory_at() as memory:
        rollout(Counting, TWO, memory, kind="none", reading=reading)
        assert [text for _, _, text, _, _ in logged(memory, "Counting", "0")] == ["at 0", "on", "at 1", "on", "at 2"]


def test_a_batch_policy_acts_for_all_lanes_at_once() -> None:
    class Batch:
        def __init__(self) -> None:
            self.sizes: list[int] = []

        def act(self, observation: Any, context: Any) -> int:
            raise AssertionError

        def act_many(self, policies: Any, observations: Any, contexts: Any) -> list[int]:
            assert len(policies) == len(observations) == len(contexts)
            self.sizes.append(len(observations))
            return [1] * len(observations)

    policy = Batch()
    with memory_at() as memory:
        rollout(Counting, policy, memory, kind="none", episodes=3, workers=3, apart=False)
    assert policy.sizes == [3, 3, 2, 1]


def test_a_random_policy_is_exact_for_its_seed() -> None:
    space = spaces.Discrete(1000)
    first, again, other = (RandomPolicy(space).begin(seed) for seed in (1, 1, 2))
    drawn = [[int(policy.act(None, None)) for _ in range(5)] for policy in (first, again, other)]
    assert drawn[0] == drawn[1] != drawn[2]


@pytest.mark.parametrize(
    "space",
    [
        spaces.Box(-1.0, 1.0, (3,), np.float32),
        spaces.Box(0, 255, (40, 30, 3), np.uint8),
        spaces.Discrete(7, start=-2),
        spaces.MultiBinary(4),
        spaces.MultiDiscrete([3, 4]),
        spaces.Text(9),
        spaces.Dict({"a": spaces.Tuple((spaces.Discrete(3), spaces.Text(3))), "b": spaces.Box(-np.inf, np.inf, (2,))}),
    ],
    ids=str,
)
def test_raw_values_come_back_as_they_were(space: spaces.Space[Any]) -> None:
    space.seed(0)
    for _ in range(5):
        value = space.sample()
        packed, blobs = pack(value)
        back = unpack(space, packed, blobs)
        assert space.contains(back)
        assert data_equivalence(value, back)
    odd, blobs = pack({"x": np.array([np.nan, np.inf]), "y": float("nan")})
    assert set(blobs) == {"/x", "/y"}
    assert np.isnan(unpack(spaces.Box(-1, 1, (2,)), odd["x"], blobs)[0])


def test_arrays_whose_names_are_alike_are_kept_apart() -> None:
    box = spaces.Box(0, 1, (100,))
    space = spaces.Dict({"a": spaces.Dict({"b": box, "b+": box}), "a/b": box, "a/b+": box})
    value = space.sample()
    packed, blobs = pack(value, "observation")
    assert len(blobs) == 4
    assert data_equivalence(value, unpack(space, packed, blobs))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"kind": "some"}, "memory kind 'some' is unknown; give one of crystals, window, none, full"),
        ({"budget": -1}, "budget -1: give a whole number of tokens from 0 to 1,000,000,000"),
        ({"episodes": 0}, "episodes 0 must be a whole number, 1 or more"),
        ({"workers": True}, "workers True must be"),
        ({"seed": 1.5}, "seed 1.5 must be"),
        *(({"numbers": numbers}, "give whole numbers, 0 or more, each") for numbers in ([0, 0], [-1], ["a"], [1.5])),
        ({"recall": "never"}, "recall 'never' is unknown; give 'every', 'write' or a function"),
        ({"options": {"length": 4, "colour": 1}}, "cannot be made with"),
    ],
)
def test_what_is_out_of_bounds_is_refused_before_anything_is_logged(settings: dict[str, Any], said: str) -> None:
    with memory_at() as memory:
        with pytest.raises(InvalidInputError, match=said):
            rollout("agentmem/TMaze-v0", TWO, memory, **settings)
        assert memory.head().position == 0


def test_unknown_environments_and_policies_are_named_with_a_remedy() -> None:
    with memory_at() as memory:
        with pytest.raises(InvalidInputError, match="'agentmem/Nowhere-v0' cannot be made: .* registered, such as"):
            rollout("agentmem/Nowhere-v0", TWO, memory)
        with pytest.raises(InvalidInputError, match="has no act"):
            rollout("agentmem/TMaze-v0", lambda observation, context: 1, memory)
        with pytest.raises(InvalidInputError, match="is no gymnasium.Env"):
            rollout(lambda: 3, TWO, memory)  # type: ignore[arg-type, return-value]
    with pytest.raises(InvalidInputError, match="policy 'orakle' is unknown; give random, oracle"):
        load_policy("orakle", None)
    with pytest.raises(InvalidInputError, match="policy 'rolls:nothing' is not there"):
        load_policy("rolls:nothing", None)
    assert callable(load_policy("test_rollout:TWO", None).act)


def test_an_action_that_is_no_call_is_graded_and_ends_nothing() -> None:
    with memory_at() as memory:
        answers = ScriptedPolicy(lambda observation, context: "I would rather not")
        report = rollout(SHOP, answers, memory, kind="none", options={"steps": 20, "delay": 5})
        assert (report.steps, report.solved) == (20, 0.0)


def test_another_rollout_in_the_same_memory_is_refused() -> None:
    with memory_at() as memory:
        rollout(Counting, TWO, memory, kind="none")
        with pytest.raises(SettingsError, match="holds a rollout with seed 0, not 1: give the same"):
            rollout(Counting, TWO, memory, kind="none", seed=1)


def test_so_many_turns_are_logged_together_whatever_each_of_them_says() -> None:
    with memory_at() as memory:
        acts: list[int] = []

        def told(done: float, of: float) -> None:
            acts.append(sum(kind == "action" for _, kind, *_ in logged(memory, SHOP, "0")))

        shop(memory, kind="none", episodes=1, options={"steps": 150}, progress=told)
        assert [number for number in dict.fromkeys(acts) if number < 150] == [0, TOGETHER, 2 * TOGETHER]


def test_progress_tells_how_many_episodes_are_done_and_logged_up_to_the_last() -> None:
    told: list[tuple[float, float]] = []
    kept: list[int] = []
    with memory_at() as memory:

        def tell(done: float, of: float) -> None:
            told.append((done, of))
            kept.append(sum(len(logged(memory, "Counting", number)) for number in "012"))

        report = rollout(Counting, TWO, memory, kind="none", episodes=3, workers=2, apart=False, progress=tell)
    assert told == sorted(told)
    assert {of for _, of in told} == {3}
    assert told[-1] == (3, 3)
    assert kept[-1] == 2 * report.steps + 3
