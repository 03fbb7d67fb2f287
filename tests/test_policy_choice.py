"""A trained choice among offered calls: its words, its network, its policy, and what it is learned from."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from agentmem import Memory
from agentmem.errors import InvalidInputError, NotFoundError, SettingsError
from agentmem.neural.files import save
from agentmem.neural.runs import Command, Run
from agentmem.neural.train import Trainer, TrainSettings
from agentmem.policy import ChoicePolicy, load_trained
from agentmem.policy.bc import HIDDEN, WITHOUT, ChoiceImitation, imitate, rounds_of
from agentmem.policy.choice import ChoiceNetwork, ChoiceSettings
from agentmem.policy.choosing import KIND
from agentmem.policy.demonstrations import Choices, Shift, kept, read, shown
from agentmem.policy.reference import choice_network
from agentmem.policy.words import CHOICES, HEAD, LINE, LINES, OWN, PRESENT, number, offered
from agentmem.rollout import load_policy, rollout
from agentmem.testing import PolicyContract
from agentmem.types import PlanningContext

torch.set_num_threads(1)
SHOP = "agentmem/ShiftShop-Short-v0"
TINY = {"split": "train", "steps": 60, "delay": 20}
CALLS = [f'{{"args": {{"order_id": "S1", "code": "{code}"}}, "tool": "close"}}' for code in ("AA-1", "BB-2", "CC-3")]
SAID = "[Ann Lee]\nobservation: File my matter under BB-2.\n[Bo Kim]\nobservation: File my matter under AA-1."


def context(text: str) -> PlanningContext:
    return PlanningContext(text=text, sections={}, tokens=0, budget=0, hits=(), store_version="")


def observation(calls: Sequence[str] = CALLS, text: str = "[T1 Ann Lee] File it as I asked.") -> dict[str, Any]:
    return {"text": text, "candidates": "\n".join(calls)}


@pytest.fixture(scope="module")
def decisions() -> Choices:
    return shown(Shift(SHOP, TINY, 3, 300))


@pytest.fixture(scope="module")
def network() -> ChoiceNetwork:
    return ChoiceNetwork(ChoiceSettings(words=256, width=16, heads=2))


# ---- the network


def test_logits_are_one_for_each_call_and_lowest_where_none_is_offered(network: ChoiceNetwork) -> None:
    present, own = offered("File it.", CALLS)
    inputs = [torch.from_numpy(each.astype(np.int64))[None] for each in (present, np.zeros((5, HEAD + LINE)), own)]
    logits = network(*inputs)
    assert logits.shape == (1, CHOICES)
    assert logits[0, 3:].max() < logits[0, :3].min() - 1_000


def test_a_call_without_words_of_its_own_can_be_chosen(network: ChoiceNetwork) -> None:
    present, own = offered("File it.", ['{"tool": "a"}', '{"tool": "b", "args": {"code": "AA-1"}}'])
    inputs = [torch.from_numpy(each.astype(np.int64))[None] for each in (present, np.zeros((5, HEAD + LINE)), own)]
    logits = network(*inputs)
    assert logits[0, :2].min() > logits[0, 2:].max() + 1_000


def test_tools_count_only_where_they_differ(network: ChoiceNetwork) -> None:
    present, own = (torch.from_numpy(each.astype(np.int64))[None] for each in offered("File it.", CALLS))
    lines, others, one = torch.zeros(1, 5, HEAD + LINE, dtype=torch.int64), own.clone(), own.clone()
    others[0, :3, 0] = number("open")
    one[0, 1, 0] = number("open")
    assert network(present, lines, others).equal(network(present, lines, own))
    assert not network(present, lines, one).equal(network(present, lines, own))


def asked_for_a_tool(seed: int) -> tuple[np.ndarray, np.ndarray, int]:
    """The present, the candidates and the right one of a call for one of eight tools, which share a phone number."""
    draw = np.random.default_rng(seed)
    tools = [f"mend_{part}" for part in draw.permutation(list("abcdefghijkl"))[:CHOICES]]
    right = int(draw.integers(CHOICES))
    phone = f"555-{draw.integers(10_000)}"
    calls = [json.dumps({"tool": tool, "args": {"phone_number": phone}}) for tool in tools]
    return *offered(f"Found: of phone {phone} the {tools[right][-1]} is out of order.", calls), right


@pytest.mark.slow
def test_a_choice_between_tools_is_learned_in_a_few_hundred_steps() -> None:
    parts = [np.stack(part) for part in zip(*map(asked_for_a_tool, range(1_000)), strict=True)]
    present, own, right = (torch.from_numpy(part.astype(np.int64)) for part in parts)
    lines = torch.zeros(1_000, 1, HEAD + LINE, dtype=torch.int64)
    torch.manual_seed(0)
    model = ChoiceNetwork(ChoiceSettings(words=512, width=32, heads=2))
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    for step in range(120):
        rows = torch.arange(32) + step * 32 % 768
        loss = torch.nn.functional.cross_entropy(model(present[rows], lines[rows], own[rows]), right[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        chosen = model(present[800:], lines[800:], own[800:]).argmax(-1)
    assert float((chosen == right[800:]).float().mean()) > 0.95


@pytest.mark.parametrize(
    ("present", "lines", "own"),
    [((1, 3), (1, 4, HEAD + LINE), (1, CHOICES, OWN)), ((1, PRESENT), (2, 4, HEAD + LINE), (1, CHOICES, OWN)),
     ((1, PRESENT), (1, 4, HEAD + LINE), (1, 3, OWN))],
)  # fmt: skip
def test_other_shapes_are_refused_with_both_told(network: ChoiceNetwork, present: Any, lines: Any, own: Any) -> None:
    with pytest.raises(InvalidInputError, match=r"\[.*\].*\[.*\]"):
        network(*(torch.zeros(shape, dtype=torch.int64) for shape in (present, lines, own)))


@pytest.mark.slow
def test_every_weight_learns_and_one_batch_is_learned_by_heart(decisions: Choices) -> None:
    torch.manual_seed(0)
    model = ChoiceNetwork(ChoiceSettings(words=512, width=32, heads=2))
    present, lines, own, right = decisions.batch(torch.arange(16), torch.zeros(16, dtype=torch.bool))
    own[:8, 1, 0] = number("another")  # the shop's own candidates have one tool
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    for _ in range(25):
        loss = torch.nn.functional.cross_entropy(model(present, lines, own), right)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    still = [name for name, each in model.named_parameters() if each.grad is None or not each.grad.any()]
    assert set(still) <= {"out.bias"}  # it adds the same to all
    assert float((model(present, lines, own).argmax(-1) == right).float().mean()) > 0.9


# ---- the policy


class TestChoicePolicy(PolicyContract):
    def make_policy(self) -> ChoicePolicy:
        return ChoicePolicy(choice_network(0))

    def observations(self) -> Sequence[Any]:
        return [observation(), observation(CALLS[:1]), observation(text="[T2 Bo Kim] Which one?")]


def test_a_context_longer_than_it_was_trained_with_is_read_whole() -> None:
    policy = load_trained("shift")
    assert isinstance(policy, ChoicePolicy)
    later = "\n".join(f"observation: There are {number} of the Bread Knife." for number in range(LINES + 30))
    for right, code in enumerate(("AA-1", "BB-2", "CC-3")):
        said = f"[Ann Lee]\nobservation: Ann Lee: File my matter under {code} please."
        long = context(f"{said}\n[Bo Kim]\n{later}")
        assert policy.act(observation(), context(said)) == policy.act(observation(), long) == right
        assert policy.act_many([policy] * 2, [observation()] * 2, [long, context("")])[0] == right


@pytest.mark.parametrize("calls", [[], CALLS * 3])
def test_too_many_calls_or_none_are_refused(calls: list[str]) -> None:
    with pytest.raises(InvalidInputError, match=f"among 1 to {CHOICES} offered calls"):
        ChoicePolicy(choice_network(0)).act(observation(calls), None)


def test_an_observation_of_another_environment_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="offered calls, and an observation here offers 0: play a shift"):
        ChoicePolicy(choice_network(0)).act(np.zeros(2), None)


def test_what_was_saved_acts_the_same(tmp_path: Path, decisions: Choices) -> None:
    policy = ChoicePolicy(choice_network(1))
    policy.save(tmp_path / "own.safetensors", "made by hand")
    again = load_policy(str(tmp_path / "own.safetensors"), None)
    inputs = decisions.batch(torch.arange(20), torch.zeros(20, dtype=torch.bool))[:3]
    assert again.network(*inputs).equal(policy.network(*inputs))  # type: ignore[attr-defined]


def test_a_policy_that_was_trained_further_is_another_and_does_not_go_on_with_the_rollout(tmp_path: Path) -> None:
    file, names = tmp_path / "model.safetensors", []
    with Memory.open(":memory:", encoder=None, durability="process") as memory:
        for seed in (0, 1):
            ChoicePolicy(choice_network(seed)).save(file)
            policy = load_policy(str(file), None)
            names.append(policy.name)  # type: ignore[attr-defined]
            if seed:
                with pytest.raises(SettingsError, match=f"with policy '{names[0]}', not '{names[1]}'"):
                    rollout(SHOP, policy, memory, budget=300, options=TINY)
            else:
                rollout(SHOP, policy, memory, budget=300, options=TINY)
    assert names[0] != names[1]
    assert all(name.startswith(f"{file} ") for name in names)


def test_a_policy_that_saw_no_tools_is_refused_with_the_way_to_train_it_again(tmp_path: Path) -> None:
    file, network = tmp_path / "old.safetensors", choice_network(0)
    old = {name: each for name, each in network.state_dict().items() if not name.startswith(("tool", "wanted"))}
    save(file, KIND, network.settings, old, None)
    with pytest.raises(InvalidInputError, match=r"old\.safetensors was trained before .* train it again"):
        load_trained(str(file))


def test_a_file_that_is_not_there_or_holds_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="nowhere"):
        load_trained(str(tmp_path / "nowhere.safetensors"))
    (tmp_path / "junk.safetensors").write_bytes(b"junk")
    for path, said in ((None, "the policy None is no path"), (str(tmp_path / "junk.safetensors"), "junk")):
        with pytest.raises(InvalidInputError, match=said):
            load_trained(path)  # type: ignore[arg-type]


@pytest.mark.parametrize("sizes", [{"heads": 5}, {"width": 63}, {"heads": 128}])
def test_sizes_that_do_not_go_together_are_refused_in_a_file_too(tmp_path: Path, sizes: dict[str, int]) -> None:
    file, network = tmp_path / "own.safetensors", choice_network(0)
    with pytest.raises(InvalidInputError, match="width=.* over heads=.*: the same whole width each is needed"):
        ChoiceSettings(**{**vars(network.settings), **sizes})
    settings = SimpleSettings(**{**vars(network.settings), **sizes})
    save(file, KIND, settings, network.state_dict(), None)
    with pytest.raises(InvalidInputError, match="own.safetensors is not whole .*the same whole width each is needed"):
        load_trained(str(file))


@dataclass(frozen=True)
class SimpleSettings:
    """As a file may hold them."""

    words: int
    width: int
    heads: int


# ---- what it learns from


def test_an_oracle_shows_every_decision_of_a_shift(decisions: Choices) -> None:
    assert len(decisions) == 60
    assert decisions.hidden.any()
    assert not decisions.hidden.all()
    own = decisions.own[np.arange(60), decisions.right, 1:]
    assert (own > 0).any(-1).all()


def test_what_a_fact_was_is_in_what_is_shown_of_a_decision_that_needs_it(decisions: Choices) -> None:
    found = [
        bool(np.isin(words[words > 0], decisions.table[lines][:, HEAD:]).any())
        for words, lines in zip(decisions.own[np.arange(60), decisions.right, 1:], decisions.lines, strict=True)
    ]
    assert np.mean(np.array(found)[decisions.hidden]) > 0.9


def test_joined_decisions_keep_their_own_lines(decisions: Choices) -> None:
    both = Choices.joined((decisions, decisions))
    at = torch.tensor([7, 67])
    for part in both.batch(at, torch.zeros(2, dtype=torch.bool)):
        assert part[0].equal(part[1])
    assert not both.batch(at, torch.ones(2, dtype=torch.bool))[1].any()


def test_an_episode_is_played_once_and_then_read(tmp_path: Path, decisions: Choices) -> None:
    told: list[float] = []
    shift = Shift(SHOP, TINY, 3, 300)
    first = kept(shift, tmp_path, tell=told.append)
    assert told[-1] == 1
    assert len(told) == 60
    again = kept(shift, tmp_path, tell=lambda done: pytest.fail("played again"))
    for name, value in vars(decisions).items():
        assert np.array_equal(getattr(first, name), value)
        assert np.array_equal(getattr(again, name), value)


def test_what_another_version_kept_is_refused_with_the_remedy(tmp_path: Path, decisions: Choices) -> None:
    shift = Shift(SHOP, TINY, 3, 300)
    np.savez(tmp_path / f"{shift.name}.npz", **vars(replace(decisions, own=decisions.own[..., 1:])))
    with pytest.raises(InvalidInputError, match=rf"own \(8, {OWN - 1}\), and this needs \(8, {OWN}\)\): remove "):
        kept(shift, tmp_path)
    (tmp_path / f"{shift.name}.npz").write_bytes(b"junk")
    with pytest.raises(InvalidInputError, match=r"3-300-0\.npz holds no demonstrations .*: remove it"):
        kept(shift, tmp_path)


def test_a_file_of_which_a_byte_was_changed_is_read_whole_or_refused(tmp_path: Path, decisions: Choices) -> None:
    file, refused = tmp_path / "shift.npz", 0
    np.savez_compressed(file, **vars(decisions))
    whole = file.read_bytes()
    for at in range(0, len(whole), 97):
        file.write_bytes(whole[:at] + bytes([whole[at] ^ 0x55]) + whole[at + 1 :])
        try:
            assert all(np.array_equal(each, vars(decisions)[name]) for name, each in vars(read(file)).items())
        except InvalidInputError:
            refused += 1
    assert refused > 10
    file.write_bytes(b"")
    with pytest.raises(InvalidInputError, match="holds no demonstrations .*: remove it"):
        read(file)


class Pupil:
    """Chooses the first call, and notes at which steps it was asked, and whether it was shown something."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, bool]] = []

    def act(self, observation: Any, context: PlanningContext) -> int:
        self.asked.append((int(observation["step"][0]), bool(context.text)))
        return 0


def test_a_pupil_makes_its_share_of_the_decisions_and_the_oracle_says_what_was_right(decisions: Choices) -> None:
    pupil = Pupil()
    made = shown(Shift(SHOP, TINY, 3, 300, acting=0.5), pupil)
    steps = [step for step, _ in pupil.asked]
    assert 15 < len(steps) < 45
    assert all(told for step, told in pupil.asked if step >= 10)
    assert np.array_equal(made.right, decisions.right)
    assert made.right[steps].any()
    draws = np.random.default_rng(3).random(60)  # the environment's own stream
    assert steps != np.flatnonzero(draws < 0.5).tolist()


def test_an_environment_that_does_not_tell_what_is_right_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="right candidate"):
        shown(Shift("agentmem/Workflow-v0", {"definition": "examples/loan_application.yaml"}, 0, 100))


def test_rounds_show_no_seed_twice_and_the_pupil_plays_from_the_second_on() -> None:
    rounds = rounds_of(("a", "b"), {}, 2, 3, (100, 200), 5)
    seeds = [(shift.env, shift.seed) for shifts in rounds for shift in shifts]
    assert len(set(seeds)) == len(seeds) == 12
    assert [{shift.acting for shift in shifts} for shifts in rounds] == [{0}, {0.5}, {0.5}]
    assert {shift.budget for shift in rounds[0]} == {100, 200}


def test_fewer_decisions_than_a_batch_has_are_refused(decisions: Choices) -> None:
    few = replace(
        decisions, **{name: getattr(decisions, name)[:31] for name in ("present", "lines", "own", "right", "hidden")}
    )
    objective = ChoiceImitation()
    with pytest.raises(InvalidInputError, match="31 decisions were shown, and a batch has 32: show longer shifts"):
        objective.add([few])
    objective.add([few, few])
    assert len(objective.known or ()) == 62


def test_decisions_that_need_memory_are_drawn_more_often_and_some_are_learned_without_a_context() -> None:
    many = 1_000
    present, own = np.zeros((many, PRESENT), np.int32), np.zeros((many, CHOICES, OWN), np.int32)
    present[: many // 2, 0] = 1
    lines, table = np.ones((many, LINES), np.int32), np.repeat(np.arange(2, dtype=np.int32)[:, None], HEAD + LINE, 1)
    hidden, right = np.arange(many) < many // 2, np.zeros(many, np.int64)
    objective, drawn = ChoiceImitation(Choices(present, lines, own, right, hidden, table)), []

    def model(present: torch.Tensor, lines: torch.Tensor, own: torch.Tensor) -> torch.Tensor:
        drawn.append(torch.stack([present[:, 0], lines.any(-1).any(-1)], -1).float())
        return torch.zeros(own.shape[:2])

    generator = torch.Generator().manual_seed(0)
    for _ in range(100):
        objective.step(model, 0, generator)  # type: ignore[arg-type]
    needing, told = torch.cat(drawn).mean(0).tolist()
    assert needing == pytest.approx(HIDDEN / (HIDDEN + 1), abs=0.03)
    assert told == pytest.approx(1 - WITHOUT, abs=0.03)


def imitated(folder: Path, stop: Callable[[int], bool], tell: Callable[[float], None] = lambda done: None) -> Any:
    """A training of two rounds of one shift. stop: told the training's step. Gives (finished, step, decisions)."""
    objective, rounds = ChoiceImitation(), rounds_of((SHOP,), TINY, 1, 2, (300,), 0)
    torch.manual_seed(0)
    model = ChoiceNetwork(ChoiceSettings(words=512, width=32, heads=2))
    trainer = Trainer(model, objective, TrainSettings(0, tokens=32 * 8))
    keep = lambda path: ChoicePolicy(trainer.model).save(path)  # noqa: E731
    with Run(folder, Command("train", {"what": "policy"}), trainer, keep) as run:
        stopped = lambda: stop(trainer.progress.step)  # noqa: E731
        finished = imitate(run, trainer, objective, rounds, stop=stopped, tell=lambda done, total: tell(done))
    return finished, trainer.progress.step, len(objective.known or ())


def test_a_training_goes_through_its_rounds_with_the_pupil_and_is_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, act = [], ChoicePolicy.act

    def counted(self: ChoicePolicy, observation: Any, context: PlanningContext | None) -> int:
        asked.append(context)
        return act(self, observation, context)

    monkeypatch.setattr(ChoicePolicy, "act", counted)
    assert imitated(tmp_path, lambda step: step == 2) == (False, 2, 60)
    assert not asked
    assert imitated(tmp_path, lambda step: False) == (True, 8, 120)
    assert 15 < len(asked) < 45
    assert len(list((tmp_path / "demonstrations").iterdir())) == 2


@pytest.mark.slow
def test_a_training_is_stopped_while_it_is_shown_a_shift_and_keeps_those_shown_whole(tmp_path: Path) -> None:
    told: list[float] = []
    assert imitated(tmp_path, lambda step: step == 4 and len(told) > 80, told.append) == (False, 4, 60)
    assert len(told) < 100
    assert len(list((tmp_path / "demonstrations").iterdir())) == 1
    assert imitated(tmp_path, lambda step: False) == (True, 8, 120)
