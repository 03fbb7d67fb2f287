"""A rollout that is killed at any moment loses nothing, doubles nothing, and ends as one that was never interrupted."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest
from rolls import Stopped, logged, memory_at, shop, stop_after

from agentmem.errors import InvalidInputError, SettingsError
from agentmem.memory import retention
from agentmem.rollout import RandomPolicy, Reading, RolloutReport, ScriptedPolicy, load_policy, trail
from agentmem.types import PlanningContext

ROOT = Path(__file__).parent.parent
CHILD = """
import sys
from rolls import memory_at, shop
from agentmem.rollout import load_policy
policy = load_policy(sys.argv[2], None)
with memory_at(sys.argv[1]) as memory:
    def tell(done, of):
        print(done, flush=True)
        sys.stdin.read(int(sys.argv[4]))
    numbers = [int(number) for number in sys.argv[5:]] or None
    shop(memory, policy, kind=sys.argv[3], episodes=3, progress=tell, numbers=numbers)
"""
AMID_A_STEP = """
import os, sys, threading, time
from rolls import Faulty, memory_at
from agentmem.rollout import ScriptedPolicy, rollout

class Uneven(Faulty):
    def reset(self, *, seed=None, options=None):
        self.slow = seed == 1
        return super().reset(seed=seed)

    def step(self, action):
        time.sleep(self.slow)
        return super().step(action)

timer = threading.Timer(0.4, os.kill, (os.getpid(), int(sys.argv[1])))

def tell(done, of):
    if not timer.ident:  # it is started once
        timer.start()

numbers = [int(number) for number in sys.argv[2:]]
policy = ScriptedPolicy(lambda seen, context: 1)
try:
    with memory_at() as memory:
        rollout(Uneven, policy, memory, kind="none", numbers=numbers, workers=2, apart=True, progress=tell)
except KeyboardInterrupt:
    print("stopped")
"""
NAMESPACE = ("agentmem/ShiftShop-Short-v0",)


def whole(policy: Any, **settings: Any) -> tuple[RolloutReport, list[Any]]:
    with memory_at() as memory:
        report = shop(memory, policy, **settings)
        return report, [logged(memory, *NAMESPACE, str(number)) for number in range(settings.get("episodes", 2))]


@pytest.mark.parametrize(("name", "stops"), [("oracle", (1, 39)), ("reader", (13,)), ("rule", (13, 39))])
def test_an_interrupted_rollout_goes_on_to_the_same_end(tmp_path: Path, name: str, stops: tuple[int, ...]) -> None:
    report, steps = whole(load_policy(name, None), kind="window")
    for turns in stops:
        with memory_at(tmp_path / f"{turns}.mem") as memory, pytest.raises(Stopped):
            shop(memory, load_policy(name, None), kind="window", progress=stop_after(turns))
        with memory_at(tmp_path / f"{turns}.mem") as memory:
            again = shop(memory, load_policy(name, None), kind="window")
            assert again.model_dump(exclude={"bytes"}) == report.model_dump(exclude={"bytes"})
            assert [logged(memory, *NAMESPACE, str(number)) for number in range(2)] == steps


@pytest.mark.slow
def test_what_was_recalled_before_and_after_an_interruption_is_the_same(tmp_path: Path) -> None:
    report, _ = whole(load_policy("reader", None), episodes=1)
    with memory_at(tmp_path / "a.mem") as memory, pytest.raises(Stopped):
        shop(memory, load_policy("reader", None), episodes=1, progress=stop_after(20))
    with memory_at(tmp_path / "a.mem") as memory:
        assert shop(memory, load_policy("reader", None), episodes=1).digest == report.digest


def test_a_policy_without_a_state_is_not_asked_again_for_what_is_logged(tmp_path: Path) -> None:
    asked: list[int] = []
    policy = ScriptedPolicy(lambda observation, context: asked.append(int(observation["step"][0])) or 0)
    with memory_at(tmp_path / "a.mem") as memory, pytest.raises(Stopped):
        shop(memory, policy, episodes=1, name="zero", progress=stop_after(10))
    with memory_at(tmp_path / "a.mem") as memory:
        shop(memory, policy, episodes=1, name="zero")
    assert asked == list(range(40))


def test_a_policy_that_comes_to_something_else_is_refused(tmp_path: Path) -> None:
    class Fickle(RandomPolicy):
        def begin(self, seed: int) -> RandomPolicy:
            return RandomPolicy(self.space, random.randrange(10**6))

    from gymnasium.spaces import Discrete

    with memory_at(tmp_path / "a.mem") as memory, pytest.raises(Stopped):
        shop(memory, Fickle(Discrete(8)), kind="none", progress=stop_after(30))
    with memory_at(tmp_path / "a.mem") as memory, pytest.raises(InvalidInputError, match="use the policy that began"):
        shop(memory, Fickle(Discrete(8)), kind="none")


class Heeding:
    """Has a state, and acts by every word that it is shown."""

    name = "heeding"

    def begin(self, seed: int) -> Heeding:
        return Heeding()

    def act(self, observation: Any, context: PlanningContext | None) -> int:
        return crc32(context.text.encode()) % 8 if context is not None else 0


@pytest.mark.slow
def test_a_policy_with_a_state_is_shown_again_what_it_was_shown_before_the_log_was_crystallized(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trail, "CRYSTALLIZED", 128)  # a unit is sealed by turn 118, and made before turn 128
    settings: dict[str, Any] = {"episodes": 1, "budget": 500, "options": {"steps": 136}}
    runs: list[Any] = []
    for file, stopped in (("whole.mem", False), ("killed.mem", True)):
        if stopped:
            with memory_at(tmp_path / file) as memory, pytest.raises(Stopped):
                shop(memory, Heeding(), progress=stop_after(132), **settings)
        with memory_at(tmp_path / file) as memory:
            report = shop(memory, Heeding(), **settings)
            runs.append((report.digest, logged(memory, *NAMESPACE, "0")))
    assert runs[0] == runs[1]


@pytest.mark.parametrize("lane", [0, 1])
def test_a_turn_that_is_stopped_while_it_is_written_is_logged_whole_or_not_at_all(lane: int) -> None:
    left = [3 + lane]

    def told(observation: Any, action: Any) -> str:
        left[0] -= 1
        if not left[0]:
            raise Stopped
        return str(action)

    settings: dict[str, Any] = {"kind": "window", "reading": Reading(act=told)}
    report, steps = whole(load_policy("oracle", None), kind="window", reading=Reading(act=lambda seen, act: str(act)))
    with memory_at() as memory:
        with pytest.raises(Stopped):
            shop(memory, load_policy("oracle", None), **settings)
        assert [logged(memory, *NAMESPACE, number)[-1][1] for number in "01"] == ["action", "action"]
        assert shop(memory, load_policy("oracle", None), **settings).digest == report.digest
        assert [logged(memory, *NAMESPACE, number) for number in "01"] == steps


def test_an_interrupt_right_behind_a_commit_logs_no_turn_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    real, left = trail.log_together, [20]

    def interrupted(entries: Any) -> Any:
        logged_now = real(entries)
        left[0] -= 1
        if not left[0]:
            raise KeyboardInterrupt  # as it comes from a terminal: anywhere
        return logged_now

    report, steps = whole(load_policy("oracle", None), kind="window")
    with memory_at() as memory:
        monkeypatch.setattr(trail, "log_together", interrupted)
        with pytest.raises(KeyboardInterrupt):
            shop(memory, load_policy("oracle", None), kind="window")
        monkeypatch.setattr(trail, "log_together", real)
        assert shop(memory, load_policy("oracle", None), kind="window").digest == report.digest
        assert [logged(memory, *NAMESPACE, number) for number in "01"] == steps


def test_a_finished_episode_is_not_played_again_and_more_may_follow(tmp_path: Path) -> None:
    asked: list[int] = []
    policy = ScriptedPolicy(lambda observation, context: asked.append(1) or 0)
    with memory_at(tmp_path / "a.mem") as memory:
        first = shop(memory, policy, kind="none", episodes=1, name="zero")
        head = memory.head()
        assert shop(memory, policy, kind="none", episodes=1, name="zero") == first
        assert (memory.head(), len(asked)) == (head, 40)
        assert shop(memory, policy, kind="none", episodes=2, name="zero").episodes[0] == first.episodes[0]
        assert len(asked) == 80


def test_a_run_that_died_between_its_last_step_and_its_report_ends_properly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report, _ = whole(load_policy("oracle", None), episodes=1)

    def die(*_: Any) -> None:
        raise Stopped

    with monkeypatch.context() as patched, memory_at(tmp_path / "a.mem") as memory:
        patched.setattr("agentmem.rollout.run.episode_report", die)
        with pytest.raises(Stopped):
            shop(memory, load_policy("oracle", None), episodes=1)
    with memory_at(tmp_path / "a.mem") as memory:
        assert shop(memory, load_policy("oracle", None), episodes=1).digest == report.digest


def test_a_run_whose_oldest_texts_retention_let_go_ends_with_the_same_digest(tmp_path: Path) -> None:
    report, _ = whole(load_policy("oracle", None), kind="none", episodes=1)
    with memory_at(tmp_path / "a.mem") as memory:
        with pytest.raises(Stopped):
            shop(memory, load_policy("oracle", None), kind="none", episodes=1, progress=stop_after(30))
        first = next(iter(memory.scoped(*NAMESPACE, "0").steps()))
        (record,) = memory._core.store.read([first.position])
        lost = retention._with(record, retention._holed(record.text, []), 0.0)
        memory._core.store.rewrite({first.position: (lost.text, lost.body)})
    with memory_at(tmp_path / "a.mem") as memory:
        assert next(iter(memory.scoped(*NAMESPACE, "0").steps())).lost
        assert shop(memory, load_policy("oracle", None), kind="none", episodes=1).digest == report.digest


def started(
    file: Path, policy: str, kind: str, waits: bool = False, numbers: Sequence[int] = ()
) -> subprocess.Popen[bytes]:
    """A rollout in a process of its own. waits: after its first turn, until it is killed."""
    command = [sys.executable, "-c", CHILD, str(file), policy, kind, str(int(waits)), *map(str, numbers)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe if waits else None, stdout=pipe, env=paths())


def paths() -> dict[str, str]:
    """The variables of a process that finds our modules."""
    path = os.pathsep.join([str(ROOT), str(ROOT / "environments"), str(ROOT / "tests")])
    return {**os.environ, "PYTHONPATH": path}


@pytest.mark.slow
def test_another_process_may_not_roll_out_the_same_until_the_first_has_ended_or_was_killed(tmp_path: Path) -> None:
    file, oracle = tmp_path / "a.mem", load_policy("oracle", None)
    child = started(file, "oracle", "window", waits=True)
    assert child.stdin is not None
    assert child.stdout is not None
    assert child.stdout.readline()
    with memory_at(file) as memory:
        with pytest.raises(
            SettingsError, match="another process rolls out 'agentmem/ShiftShop-Short-v0' in this memory"
        ):
            shop(memory, oracle, kind="window", episodes=3)
        shop(memory.scoped("elsewhere"), oracle, kind="window", episodes=1)
        shop(memory, oracle, kind="window", episodes=3, numbers=[7])
    os.kill(child.pid, signal.SIGKILL)
    child.stdout.close()
    child.wait()
    with memory_at(file) as memory:
        assert (
            shop(memory, oracle, kind="window", episodes=3).digest == whole(oracle, kind="window", episodes=3)[0].digest
        )
    assert [each.name for each in tmp_path.iterdir() if "rollout" in each.name] == []


@pytest.mark.slow
def test_an_episode_that_another_process_plays_is_refused_until_that_was_killed_and_others_are_played(
    tmp_path: Path,
) -> None:
    file, oracle = tmp_path / "a.mem", load_policy("oracle", None)
    child = started(file, "oracle", "window", waits=True, numbers=[0, 1])
    assert child.stdin is not None
    assert child.stdout is not None
    assert child.stdout.readline()
    with memory_at(file) as memory:
        shop(memory, oracle, kind="window", numbers=[2])
        for numbers in ([3, 1], None):
            with pytest.raises(
                SettingsError, match="another process rolls out episode [01] of 'agentmem/ShiftShop-Sho"
            ):
                shop(memory, oracle, kind="window", episodes=3, numbers=numbers, workers=1)
    os.kill(child.pid, signal.SIGKILL)
    child.stdout.close()
    child.wait()
    with memory_at(file) as memory:
        again, (report, steps) = (
            shop(memory, oracle, kind="window", episodes=3),
            whole(oracle, kind="window", episodes=3),
        )
        assert again.digest == report.digest
        assert [logged(memory, *NAMESPACE, str(number)) for number in range(3)] == steps
    assert [each.name for each in tmp_path.iterdir() if "rollout" in each.name] == []


@pytest.mark.parametrize("numbers", ["01", "10"])
@pytest.mark.parametrize(
    ("sent", "code", "said"), [(signal.SIGINT, 0, "stopped\n"), (signal.SIGKILL, -signal.SIGKILL, "")]
)
def test_whichever_process_has_answered_all_end_without_a_word_of_their_own(
    sent: signal.Signals, code: int, said: str, numbers: str
) -> None:
    words = (sys.executable, "-c", AMID_A_STEP, str(int(sent)), *numbers)
    done = subprocess.run(words, env=paths(), capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (code, said, "")


def start_and_kill(file: Path, policy: str, kind: str, seconds: float) -> bool:
    """Kill a rollout in a process of its own some time after its first turn; False if it ended before that."""
    child = started(file, policy, kind)
    assert child.stdout is not None
    if not child.stdout.readline():  # all was done before
        assert child.wait() == 0
    time.sleep(seconds)
    killed = child.poll() is None
    if killed:
        os.kill(child.pid, signal.SIGKILL)
    child.stdout.close()
    child.wait()
    return killed


def kill_until_done(file: Path, policy: str, kind: str, kills: int, seed: int) -> None:
    rng = random.Random(seed)
    report, steps = whole(load_policy(policy, None), kind=kind, episodes=3)
    for _ in range(kills):
        if not start_and_kill(file, policy, kind, rng.uniform(0.0, 1.5)):
            break
        with memory_at(file) as memory:
            verified = memory.verify()
            assert verified.ok, verified.problems
            for number in range(3):  # what is there is the beginning of the whole
                there = logged(memory, *NAMESPACE, str(number))
                assert there == steps[number][: len(there)]
    with memory_at(file) as memory:
        again = shop(memory, load_policy(policy, None), kind=kind, episodes=3)
        assert again.model_dump(exclude={"bytes"}) == report.model_dump(exclude={"bytes"})
        assert [logged(memory, *NAMESPACE, str(number)) for number in range(3)] == steps


def test_a_killed_rollout_loses_nothing_and_doubles_nothing(tmp_path: Path) -> None:
    kill_until_done(tmp_path / "a.mem", "oracle", "window", kills=2, seed=0)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["crystals", "window", "none"])
@pytest.mark.parametrize("policy", ["oracle", "reader", "rule"])
def test_rollouts_killed_again_and_again_end_the_same(tmp_path: Path, policy: str, kind: str) -> None:
    kill_until_done(tmp_path / "a.mem", policy, kind, kills=8, seed=len(policy + kind))
