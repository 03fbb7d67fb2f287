"""A trained choice among offered calls: its words, its network and its policy."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from rolls import Stopped, stop_after

from agentmem import Memory
from agentmem.errors import InvalidInputError, NotFoundError, SettingsError
from agentmem.neural.files import save, without_digest
from agentmem.policy import ChoicePolicy, load_trained
from agentmem.policy.choice import ChoiceNetwork, ChoiceSettings
from agentmem.policy.choosing import KIND
from agentmem.policy.demonstrations import Choices, Shift, shown
from agentmem.policy.files import HERE
from agentmem.policy.reference import choice_network
from agentmem.policy.words import CHOICES, HEAD, LINE, LINES, OWN, PRESENT, number, offered
from agentmem.rollout import load_policy, rollout
from agentmem.testing import PolicyContract
from agentmem.types import PlanningContext
from agentmem_envs.shift.shop import ShiftShop

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


class Counted(ShiftShop):
    """Knows how many of its kind are open."""

    opened = 0

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        Counted.opened += 1

    def close(self) -> None:
        Counted.opened -= 1


gymnasium.register("agentmem/ShiftCounted-v0", entry_point="test_policy_choice:Counted", disable_env_checker=True)


def test_a_shift_that_is_shown_is_closed_also_where_that_is_stopped() -> None:
    shift, told = Shift("agentmem/ShiftCounted-v0", {"split": "train", "steps": 8, "delay": 2}, 3, 300), list[float]()
    assert len(shown(shift, tell=told.append)) == len(told) == 8
    assert Counted.opened == 0
    with pytest.raises(Stopped):
        shown(shift, tell=partial(stop_after(3), of=1))
    assert Counted.opened == 0


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


def test_a_policy_keeps_its_name_when_its_file_gets_a_digest_and_has_another_when_it_is_trained_further(
    tmp_path: Path,
) -> None:
    older = tmp_path / "older.safetensors"
    older.write_bytes(without_digest(HERE / "shift.safetensors"))
    told = sha256(older.read_bytes()).hexdigest()[:12]
    assert (load_trained(older).name, load_trained("shift").name) == (f"{older} {told}", f"shift {told}")
    save(older, KIND, *parts(choice_network(0)), None)
    other = load_trained(older).name
    save(older, KIND, *parts(choice_network(1)), None)
    assert load_trained(older).name != other


def parts(network: ChoiceNetwork) -> tuple[ChoiceSettings, dict[str, torch.Tensor]]:
    return network.settings, network.state_dict()


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
