"""`agentmem bench environments shifts`: a policy by what it is shown, and a GRU that imitates the same oracle."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from agentmem.bench.arguments import given_options
from agentmem.bench.environments import shifts
from agentmem.bench.environments.kept import kept_row
from agentmem.bench.environments.options import GRU
from agentmem.bench.environments.recurrent_choice import (
    RecurrentChoice,
    RecurrentPolicy,
    RecurrentSettings,
    recurrent_choice,
)
from agentmem.bench.environments.recurrent_training import RecurrentImitation, trained
from agentmem.bench.environments.shifts import markdown
from agentmem.bench.neural.peers.sizes import TOLERANCE, count
from agentmem.cli import app
from agentmem.errors import InvalidInputError, SettingsError
from agentmem.neural.runs import Command
from agentmem.neural.train import Trainer, TrainSettings
from agentmem.policy.demonstrations import Choices, Shift, kept
from agentmem.policy.reference import choice_network
from agentmem.policy.words import CHOICES, HEAD, LINE, LINES, OWN, PRESENT, number, offered
from agentmem.testing import PolicyContract

torch.set_num_threads(1)
SHOP = "agentmem/ShiftShop-v0"
TINY = ["steps=40", "delay=10"]
CALLS = [f'{{"args": {{"code": "{code}"}}, "tool": "close"}}' for code in ("AA-1", "BB-2", "CC-3")]


@pytest.fixture(scope="module")
def lessons(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Choices]]:
    """A folder of two short shifts as an oracle played them, and what it holds."""
    folder = tmp_path_factory.mktemp("lessons")
    options = {"split": "train", **given_options(TINY)}
    return folder, [kept(Shift(SHOP, options, seed, 300), folder) for seed in (1, 2)]


def small() -> RecurrentChoice:
    torch.manual_seed(0)
    return RecurrentChoice(RecurrentSettings(words=512, width=32, heads=2, size=48))


def inputs(choices: Choices) -> tuple[torch.Tensor, torch.Tensor]:
    """Of one episode [1, T]."""
    return torch.from_numpy(choices.present).long()[None], torch.from_numpy(choices.own).long()[None]


# ---- the network


def test_it_has_as_many_parameters_as_the_network_that_reads_lines() -> None:
    assert abs(count(recurrent_choice(0)) / count(choice_network(0)) - 1) < TOLERANCE
    weights = [recurrent_choice(seed).out.weight for seed in (0, 0, 1)]
    assert weights[0].equal(weights[1])
    assert not weights[0].equal(weights[2])


@torch.no_grad()
def test_steps_one_after_another_are_chosen_as_all_at_once(lessons: tuple[Path, list[Choices]]) -> None:
    model, (present, own) = small().eval(), inputs(lessons[1][0])
    whole, end = model(present, own)
    state, logits = None, []
    for start in range(0, 40, 17):
        part, state = model(present[:, start : start + 17], own[:, start : start + 17], state)
        logits.append(part)
    assert torch.cat(logits, 1).allclose(whole, atol=1e-5)
    assert state is not None
    assert state.allclose(end, atol=1e-5)


@torch.no_grad()
def test_what_was_seen_before_counts_and_what_is_not_offered_is_not_chosen() -> None:
    model = small().eval()
    steps = [offered(text, CALLS) for text in ("File it under BB-2.", "Close it.")]
    present, own = (torch.from_numpy(np.stack(part)).long()[None] for part in zip(*steps, strict=True))
    logits, _ = model(present, own)
    alone, _ = model(present[:, 1:], own[:, 1:])
    assert not logits[0, 1, :3].allclose(alone[0, 0, :3])
    assert logits[..., 3:].max() < logits[..., :3].min() - 1_000


def test_words_that_are_seen_and_words_that_are_offered_have_the_same_rows() -> None:
    present, own = offered("File it under BB-2.", CALLS)
    assert number("BB-2") in present
    assert own[1, 1] == number("BB-2")


@pytest.mark.parametrize(
    ("present", "own"), [((1, 4, 3), (1, 4, CHOICES, OWN)), ((1, 4, PRESENT), (1, 5, CHOICES, OWN))]
)
def test_other_shapes_are_refused_with_both_told(present: Any, own: Any) -> None:
    with pytest.raises(InvalidInputError, match=r"\[.*\].*\[.*\]"):
        small()(torch.zeros(present, dtype=torch.int64), torch.zeros(own, dtype=torch.int64))


class TestRecurrentPolicy(PolicyContract):
    def make_policy(self) -> RecurrentPolicy:
        return RecurrentPolicy(small())

    def observations(self) -> Sequence[Any]:
        texts = ("File it under BB-2.", "Close it.", "And again.")
        return [{"text": text, "candidates": "\n".join(CALLS)} for text in texts]


def test_an_observation_without_calls_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="offers 0: play a shift"):
        RecurrentPolicy(small()).act({"text": "Hello."}, None)


# ---- training


def heard(seed: int, steps: int = 40) -> Choices:
    """An episode in which a code is told at every even step, and asked for at the next."""
    draw, codes = np.random.default_rng(seed), [f"C-{each}" for each in range(CHOICES)]
    rows, told = [], 0
    for step in range(steps):
        told = told if step % 2 else int(draw.integers(CHOICES))
        order = draw.permutation(CHOICES).tolist()
        calls = [json.dumps({"tool": "close", "args": {"code": codes[each]}}) for each in order]
        text = "Close it." if step % 2 else f"File it under {codes[told]}."
        rows.append((*offered(text, calls), order.index(told)))
    present, own, right = map(np.stack, zip(*rows, strict=True))
    hidden = np.arange(steps) % 2 == 1
    return Choices(
        present, np.zeros((steps, LINES), np.int32), own, right, hidden, np.zeros((1, HEAD + LINE), np.int32)
    )


@pytest.mark.slow
def test_it_learns_to_choose_what_was_said_before() -> None:
    known = [heard(seed) for seed in range(20)]
    objective = RecurrentImitation(known[:16], chunk=20)
    trainer = Trainer(small(), objective, TrainSettings(tokens=30_000, learning_rate=5e-3))
    trainer.train()
    trainer.model.eval()
    for each in known[16:]:
        with torch.no_grad():
            chosen = trainer.model(*inputs(each))[0][0].argmax(-1).numpy()
        assert (chosen == each.right)[each.hidden].mean() > 0.6  # a guess is right one time in eight


def test_every_weight_learns_and_the_state_is_carried_from_chunk_to_chunk(
    lessons: tuple[Path, list[Choices]],
) -> None:
    model, generator = small(), torch.Generator().manual_seed(0)
    objective = RecurrentImitation(lessons[1], chunk=25, lanes=2)
    seen, states = [], []
    for _ in range(4):
        step = objective.step(model, 0, generator)
        seen.append(step.tokens)
        states.append(objective.kept(model)["state"])
    step.losses["choice"].backward()
    assert {name for name, each in model.named_parameters() if each.grad is None or not each.grad.any()} <= {"out.bias"}
    assert 2 * 40 in np.cumsum(seen)  # both shifts, whole, before others are drawn
    assert max(seen) == 2 * 25
    assert not any(each.requires_grad for each in states)
    assert all(each.any() for each in states)


def test_shifts_of_different_lengths_are_learned_side_by_side(lessons: tuple[Path, list[Choices]]) -> None:
    long, short = lessons[1]
    names = ("present", "lines", "own", "right", "hidden")
    short = replace(short, **{name: getattr(short, name)[:20] for name in names})
    objective, generator = RecurrentImitation([long, short], chunk=40, lanes=2), torch.Generator().manual_seed(0)
    seen = 0
    while seen < 60:
        step = objective.step(small(), 0, generator)
        assert step.losses["choice"].isfinite()
        seen += step.tokens
    assert seen == 60


def test_a_training_that_was_saved_takes_the_same_steps(tmp_path: Path, lessons: tuple[Path, list[Choices]]) -> None:
    def new() -> Trainer[RecurrentChoice]:
        return Trainer(small(), RecurrentImitation(lessons[1], chunk=25, lanes=1), TrainSettings(tokens=10_000))

    whole, first, second = new(), new(), new()
    whole.train(7)
    first.train(4)
    first.save(tmp_path / "training.safetensors")
    second.load(tmp_path / "training.safetensors")
    second.train(3)
    for name, each in whole.model.state_dict().items():
        assert second.model.state_dict()[name].equal(each), name


def test_a_gru_is_trained_once_and_then_read(tmp_path: Path, lessons: tuple[Path, list[Choices]]) -> None:
    told: list[float] = []
    command = Command("bench --seconds 0.1", {"seconds": 0.1})
    first = trained(tmp_path, command, 0.1, lambda: lessons[1], told.append)
    assert told[-1] == 1
    again = trained(tmp_path, command, 0.1, lambda: pytest.fail("asked for lessons again"), told.append)
    assert first.name == again.name
    assert again.network.out.weight.equal(first.network.out.weight)
    with pytest.raises(SettingsError, match=r"begun by `bench --seconds 0.1`, .* \(seconds 0.1, now 2\)"):
        trained(tmp_path, Command("bench --seconds 2", {"seconds": 2}), 2, lambda: lessons[1], told.append)


# ---- the command


def invoked(*words: str) -> Any:
    return CliRunner().invoke(app, ["bench", "environments", "shifts", *words])


@pytest.fixture(scope="module")
def measured(
    tmp_path_factory: pytest.TempPathFactory, lessons: tuple[Path, list[Choices]]
) -> tuple[list[str], str, Path]:
    """The words that were given, what was printed, and the folder."""
    out = tmp_path_factory.mktemp("rows")
    words = ["--envs", f"{SHOP},agentmem/ShiftShop-Drift-v0", "--memory", "crystals,needed,none,gru"]
    words += [
        "--policy",
        "reader",
        "--budget",
        "300",
        "--seeds",
        "1",
        "--set",
        TINY[0],
        "--set",
        TINY[1],
        "--seconds",
        "1",
    ]
    words += ["--shown", str(lessons[0]), "--out", str(out)]
    done = invoked(*words)
    assert done.exit_code == 0, done.output
    return words, done.stdout, out


@pytest.mark.slow
def test_the_command_prints_a_line_for_each_shift_and_memory(measured: tuple[list[str], str, Path]) -> None:
    _, printed, out = measured
    lines = [line.split(" | ") for line in printed.splitlines()[2:]]
    assert [line[:3] for line in lines] == [
        [f"| {shift}", memory, "1"]
        for shift in ("ShiftShop", "ShiftShop-Drift")
        for memory in ("crystals", "needed", "none", "gru")
    ]
    assert (out / "table.md").read_text("utf-8").strip() == printed.strip()
    row = json.loads((out / "ShiftShop-Drift-gru-1.json").read_text("utf-8"))
    assert row["policy"].startswith("gru ")
    assert row["steps"] == 40
    assert row["options"] == {"split": "test", "steps": 40, "delay": 10}
    assert row["context_tokens_mean"] is None


def test_rows_are_what_rollouts_report(measured: tuple[list[str], str, Path]) -> None:
    rows = {each.stem: json.loads(each.read_text("utf-8")) for each in measured[2].glob("*.json")}
    assert len(rows) == 8
    crystals, needed, none = (rows[f"ShiftShop-{memory}-1"] for memory in ("crystals", "needed", "none"))
    assert crystals["solved_hidden"] > none["solved_hidden"]
    assert crystals["needed_fact_recall"] > 0.5 > none["needed_fact_recall"]
    assert 0 < crystals["context_tokens_mean"] <= 300
    assert crystals["bytes"] > none["bytes"] > 0
    assert crystals["stale"] is None
    assert (needed["solved_hidden"], needed["needed_fact_recall"]) == (1.0, 1.0)
    assert 0 < needed["context_tokens_mean"] < crystals["context_tokens_mean"]


def test_rows_that_are_there_are_not_played_again(
    measured: tuple[list[str], str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    words, printed, _ = measured
    monkeypatch.setattr(shifts, "_played", lambda *_: pytest.fail("played again"))
    again = invoked(*words, "--json")
    assert again.exit_code == 0, again.output
    assert markdown(json.loads(again.stdout)) == printed.strip()
    other = invoked(*words, "--memory", "none", "--budget", "200")
    assert other.exit_code != 0
    assert "is of budget 300, not 200" in other.output


@pytest.mark.parametrize("content", ["", "{", "[1]", "3", '"x"'])
def test_a_file_that_holds_no_row_is_refused_with_the_remedy(content: str, tmp_path: Path) -> None:
    (tmp_path / "row.json").write_text(content)
    with pytest.raises(InvalidInputError, match=r"row\.json holds no row .*: remove it, and it is measured again"):
        kept_row(tmp_path / "row.json", {"seed": 0}, lambda: pytest.fail("measured over it"))


@pytest.mark.slow
def test_without_lessons_shifts_are_played_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shifts, "DESKS", ("agentmem/ShiftShop-Drift-v0",))
    monkeypatch.setattr(shifts, "EPISODES", 1)
    words = [
        "--envs",
        SHOP,
        "--memory",
        GRU,
        "--seeds",
        "0",
        "--set",
        "steps=30",
        "--set",
        "delay=10",
        "--seconds",
        "1",
    ]
    done = invoked(*words, "--out", str(tmp_path))
    assert done.exit_code == 0, done.output
    assert [each.name for each in (tmp_path / "demonstrations").iterdir()] == ["ShiftShop-Drift-v0-0-512-0.npz"]
    assert (tmp_path / GRU / "model.safetensors").is_file()


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--envs", "agentmem/TMaze-v0"], "--envs agentmem/TMaze-v0 is no shift"),
        (["--envs", SHOP, "--policy", "tmaze"], "policy tmaze cannot act in agentmem/ShiftShop-v0"),
        (["--envs", SHOP, "--policy", "oracle"], "--policy oracle: an oracle needs no memory"),
        (["--envs", SHOP, "--policy", "chat:openai:gpt-5"], "a chat model is played by `agentmem rollout`"),
        (["--envs", SHOP, "--set", "speed=9"], "keywords that it takes"),
        (["--envs", SHOP, "--memory", GRU, "--shown", "."], "has no demonstrations"),
        (["--memory", "notes"], "'notes' is unknown"),
    ],
)
def test_what_cannot_be_measured_is_refused_before_anything_is_written(
    words: list[str], why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = invoked(*words, "--out", "rows")
    assert done.exit_code != 0
    assert why in " ".join(done.output.split())
    assert not list(tmp_path.iterdir())
