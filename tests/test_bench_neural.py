"""`agentmem bench neural`: figures of a small untrained model, replays of eviction, pictures, and what is refused."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner, Result

from agentmem.bench.neural import ages, cost, spread
from agentmem.bench.neural.checkpoint import budget_of, measured, with_room
from agentmem.bench.neural.decay import DECAYS, _row
from agentmem.bench.neural.histories import BY_READING, IMPORTANCES, History, after, history
from agentmem.bench.neural.recall import _aged
from agentmem.bench.neural.replays import Rule, evicted, ranked, with_importance
from agentmem.bench.neural.streams import KEYS, tasks
from agentmem.cli import app
from agentmem.errors import as_installed
from agentmem.neural import checkpoints
from agentmem.neural.crystal import MemoryCrystal
from agentmem.neural.measure import quiet, written
from agentmem.neural.settings import CrystalSettings
from agentmem.neural.tasks.key_value import VOCABULARY, RecallTask
from agentmem.neural.tokens import TokenModel, settings_of

torch.set_num_threads(1)
MEASUREMENTS = ("recall", "cost", "quantisation", "decay")
RECALLED = {"exact", "exact_fp32", "latest", "atom_bytes", "resident_bytes", "write_us_per_token", "read_us_per_token"}


def untrained(vocabulary: int = VOCABULARY) -> TokenModel:
    torch.manual_seed(0)
    sizes = {"d_model": 32, "n_heads": 2, "lower": 1, "upper": 1, "window": 16}
    return TokenModel(settings_of(vocabulary, CrystalSettings(dimension=32), **sizes)).eval()


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "untrained.safetensors"
    untrained().save(path, "a test")
    return path


def call(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["bench", "neural", *map(str, arguments)])


def results(*arguments: object) -> dict[str, Any]:
    result = call(*arguments, "--json")
    assert result.exit_code == 0, result.stderr
    told: dict[str, Any] = json.loads(result.stdout)
    return told


@cache
def told() -> History:
    with torch.no_grad():
        return history(untrained(), RecallTask(2_000, 20), 0, 5, quiet)


def births(memory: Any) -> list[int]:
    found: list[int] = memory.births()[0].tolist()
    return found


# ---- recall


def test_one_stream_gives_its_figures_at_the_top(checkpoint: Path) -> None:
    found = results("recall", "--tokens", "1k", "--facts", 10, "--questions", 10, "--checkpoint", checkpoint)
    assert found.keys() >= RECALLED
    assert (found["tokens"], found["facts"], found["asked"], found["seed"]) == (1_000, 10, 10, 0)
    assert found["write_us_per_token"] == float(f"{found['write_us_per_token']:.4g}")
    assert (found["checkpoint"], found["made_by"]) == (str(checkpoint), "a test")
    assert found["atom_bytes"] == 900  # the tenth waits for the tokens after it


def test_the_budget_is_a_hundred_bytes_for_a_hundred_tokens_and_is_told() -> None:
    small = with_room(untrained(), 350)
    assert budget_of(small) == 400
    assert budget_of(with_room(untrained(), 10_000_000)) == 10_000_000
    stream, _ = RecallTask(1_000, 10).stream(1, torch.Generator().manual_seed(0))
    assert written(small, stream)[0].memory.atom_bytes == 400


def test_several_streams_give_means_and_spread_over_seeds(checkpoint: Path) -> None:
    sizes = ("--tokens", "300,600", "--facts", "3,6", "--seed", "0,1")
    found = results("recall", *sizes, "--questions", 3, "--checkpoint", checkpoint)
    assert "exact" not in found
    assert [(one["tokens"], one["seed"]) for one in found["runs"]] == [(300, 0), (300, 1), (600, 0), (600, 1)]
    assert [(one["tokens"], one["facts"], one["streams"]) for one in found["rows"]] == [(300, 3, 2), (600, 6, 2)]
    of_one = [one["exact"] for one in found["runs"][:2]]
    assert found["rows"][0]["exact"] == sum(of_one) / 2
    assert found["rows"][0]["asked"] == 6
    assert found["rows"][0]["exact_deviation"] == pytest.approx(abs(of_one[0] - of_one[1]) / 2**0.5)


def test_a_stream_that_is_asked_for_twice_is_measured_once() -> None:
    asked = tasks([1_000, 2_000, 1_000], [10, 10, 10])
    assert [(one.horizon, one.facts) for one in asked] == [(1_000, 10), (2_000, 10)]
    assert [one.facts for one in tasks([1_000], [10, 5, 10])] == [10, 5]


def test_means_leave_out_streams_without_the_figure() -> None:
    runs = [{"latest": 1.0, "exact": 0.0}, {"latest": None, "exact": 0.5}, {"latest": 0.5, "exact": 1.0}]
    row = spread.with_deviations(runs, ["latest", "exact"])
    assert (row["latest"], row["exact"], row["exact_deviation"]) == (0.75, 0.5, 0.5)
    assert spread.spread(row, "exact") == ".500 ±.500"
    nothing = spread.with_deviations(runs[1:2], ["latest", "exact"])
    assert [spread.spread(nothing, name) for name in ("latest", "exact")] == ["-", ".500"]


@pytest.mark.slow
def test_a_peer_stands_beside_with_its_bytes_per_token(checkpoint: Path) -> None:
    found = results(
        "recall", "--tokens", 500, "--facts", 5, "--questions", 5, "--checkpoint", checkpoint,
        "--peers", "windowed", "--seconds", 1,
    )  # fmt: skip
    (one,) = found["peers"]
    assert (one["peer"], one["seconds"], one["tokens"]) == ("windowed", 1, 500)
    assert one["tokens_in_training"] > 500
    assert one["bytes_per_token"] == one["memory_bytes"] / 500


def test_the_table_is_for_people_and_the_files_hold_all(checkpoint: Path, tmp_path: Path) -> None:
    result = call("recall", "--tokens", 500, "--questions", 5, "--checkpoint", checkpoint, "--out", tmp_path)
    assert result.stdout == (tmp_path / "results.md").read_text()
    assert max(map(len, result.stdout.splitlines())) <= 100
    assert "Questions of their own: 100 of each group and stream, or as many as it has facts." in result.stdout
    assert {one.name for one in tmp_path.iterdir()} == {"results.json", "results.md", "recall-age.png"}
    assert json.loads((tmp_path / "results.json").read_text())["ages"]["groups"][-1]["upto"] == 500


def test_ages_are_half_decades_that_cover_the_stream_once() -> None:
    assert list(ages.groups(2_500)) == [(0, 100), (100, 300), (300, 1_000), (1_000, 2_500)]
    assert list(ages.groups(300)) == [(0, 100), (100, 300)]
    found = ages.by_age(untrained(), told().state, told().facts, 3, torch.Generator().manual_seed(0))
    assert sum(one.facts for one in found) == 20
    assert all(one.asked == min(3, one.facts) for one in found)


def test_means_weigh_facts_or_groups() -> None:
    found = [ages.Age(0, 100, 1, 1, 1.0), ages.Age(100, 300, 3, 3, 0.0)]
    assert (ages.of_all(found), ages.of_late(found)) == (0.25, 0.5)
    assert ages.pooled([found, found]) == [ages.Age(0, 100, 2, 2, 1.0), ages.Age(100, 300, 6, 6, 0.0)]


# ---- cost


def test_cost_is_told_of_every_size_with_ratios_to_the_smallest(checkpoint: Path, tmp_path: Path) -> None:
    sizes = ("--sizes", "400,200", "--repeats", 2, "--chunk", 100)
    found = results("cost", *sizes, "--checkpoint", checkpoint, "--out", tmp_path)["sizes"]
    assert [one["tokens"] for one in found] == [200, 400]
    for kind in cost.KINDS:
        assert found[0][f"{kind}_ratio"] == 1
        assert found[1][f"{kind}_ratio"] == pytest.approx(found[1][f"{kind}_us"] / found[0][f"{kind}_us"])
        assert found[1][f"{kind}_us"] > 0
    assert (tmp_path / "cost-size.png").stat().st_size > 10_000


# ---- quantisation


def test_bits_and_budgets_are_told_with_their_bytes(checkpoint: Path, tmp_path: Path) -> None:
    sizes = ("--tokens", "2k", "--questions", 4, "--checkpoint", checkpoint, "--out", tmp_path)
    found = results("quantisation", *sizes)["rows"]
    dense = {one["name"]: one["atom_bytes"] for one in found if one["facts"] == 20}
    assert dense["1 bit"] == dense["all"] == 19 * 100
    assert (dense["int8"], dense["fp32"]) == (19 * (768 + 4), 19 * (768 * 4 + 4))
    assert [dense[part] for part in ("1/2", "1/4", "1/8")] == [900, 400, 200]
    assert (tmp_path / "recall-bytes.png").stat().st_size > 10_000


# ---- decay


def test_a_replay_keeps_what_writing_under_that_budget_keeps() -> None:
    model = untrained()
    small = TokenModel(
        replace(
            model.settings,
            transformer=replace(
                model.settings.transformer, crystal=CrystalSettings(dimension=32, budget=500, tau=300.0, exponent=2.0)
            ),
        )
    )
    small.load_state_dict(model.state_dict())
    stream, _ = RecallTask(2_000, 20).stream(1, torch.Generator().manual_seed(0))
    state = small.transformer.start(1)
    for chunk in stream.split(130, 1):
        state = small.remember(chunk, state)
    replayed = evicted(told().state.memory, Rule(500, 300.0, 2.0))
    assert torch.equal(replayed.atoms, state.memory.atoms)


def test_crystals_of_more_slots_than_a_unit_has_tokens_are_replayed_too() -> None:
    crystal = MemoryCrystal(32, slots=16, cue_bits=32)
    memory = crystal.write(torch.randn(1, 900, 32), crystal.start(1))[1]
    small = evicted(memory, Rule(300, 5_000.0, 0.5))
    assert (memory.atom_bytes, small.atom_bytes) == (800, 300)
    assert torch.equal(small.recent[0], memory.recent[0])


def test_without_decay_the_most_important_are_kept_and_with_much_the_newest() -> None:
    memory = told().state.memory
    importance = torch.arange(19, 0, -1, dtype=torch.uint8)
    falling = with_importance(memory, importance)
    assert births(evicted(falling, Rule(400, 1_000.0, 0.0))) == [0, 1, 2, 3]
    assert births(evicted(falling, Rule(400, 1.0, 20.0))) == [15, 16, 17, 18]
    assert memory.atoms.shape[1] == 19  # the whole stays as it was


def test_ranks_spread_importance_evenly() -> None:
    assert ranked(torch.tensor([0.3, -2.0, 9.0])).tolist() == [128, 0, 255]


def test_facts_asked_half_way_are_of_the_first_half_and_make_their_atoms_more_important() -> None:
    one = told()
    early = one.facts.at[0] < 1_000
    assert (int(one.asked.sum()), int(one.unasked.sum())) == (5, 5)
    assert int((early & (one.asked | one.unasked)).sum()) == 10
    with torch.no_grad():
        read = after(untrained(), one, BY_READING, Rule(1_900, 5_000.0, 0.0)).memory.atoms[0, :, -1].long()
    grown = read - one.importances["learned"]
    assert int(grown.min()) == 0
    assert int(grown[:9].max()) > 0
    assert int(grown[9:].max()) == 0  # the tenth was not complete half way


@torch.no_grad()
def test_facts_that_were_asked_for_half_way_are_told_apart_from_the_others() -> None:
    model = measured(None).model
    one = history(model, RecallTask(12_003, 24), 0, 6, quiet)
    kept = (one.facts.at[0][one.asked] + 3) // 100  # the atoms that hold them
    importance = torch.zeros_like(one.importances["learned"]).index_fill(0, kept, 255)
    one = replace(one, importances={**one.importances, "learned": importance})
    row = _row(model, one, "learned", "none", Rule(len(kept) * 100, 5_000.0, 0.0), 6)
    assert (row["asked"], row["unasked"]) == (1.0, 0.0)


def test_recall_by_age_is_of_the_longest_stream() -> None:
    told = _aged(measured(None), [RecallTask(1_003, 10), RecallTask(2_003, 20), RecallTask(1_503, 15)], [0], quiet)
    assert (told["tokens"], told["facts"], told["groups"][-1]["upto"]) == (2_003, 20, 2_003)


def test_an_atoms_surprise_is_that_of_its_tokens_without_memory() -> None:
    model, state, nats = untrained(), untrained().transformer.start(1), []
    stream, _ = RecallTask(2_000, 20).stream(1, torch.Generator().manual_seed(0))
    with torch.no_grad():
        for chunk in stream.split(1_000, 1):
            said = model.ask(chunk, state, state.memory.view().only(()))[0]
            after_them = -said[:-1].gather(-1, chunk[0, 1:, None]).flatten()
            nats += [after_them.mean()[None], after_them]  # what the first was to be is known to the chunk before
            state = model.remember(chunk, state)
    of_atoms = torch.cat(nats)[:1_900].view(19, 100)
    assert torch.equal(told().importances["surprise, mean"], ranked(of_atoms.mean(1)))
    assert torch.equal(told().importances["surprise, most"], ranked(of_atoms.amax(1)))


@pytest.mark.slow
def test_every_importance_meets_every_decay_at_equal_bytes(checkpoint: Path, tmp_path: Path) -> None:
    sizes = ("--tokens", 800, "--questions", 2, "--checkpoint", checkpoint, "--out", tmp_path)
    found = results("decay", *sizes)["rows"]
    assert [(one["importance"], one["decay"]) for one in found] == [(i, d) for i in IMPORTANCES for d in DECAYS]
    assert {one["atom_bytes"] for one in found} == {100}
    assert (tmp_path / "decay.png").stat().st_size > 10_000
    assert "| learned" in (tmp_path / "results.md").read_text()


# ---- what is refused, and help


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("recall", "--tokens", 100, "--facts", 50), "--facts 50: 50 facts of 6 tokens do not fit into --tokens 100"),
        (("recall", "--tokens", 100, "--facts", 50), "16 are the most; give so many or fewer, or --tokens 300 or more"),
        (("recall", "--tokens", "1k", "--facts", "1m"), "166 are the most; give so many or fewer\n"),
        (("recall", "--tokens", "1k,101", "--facts", "10,17"), "do not fit into --tokens 101, 16 are the most"),
        (("recall", "--tokens", 5), "--tokens 5: a fact has 6 tokens; give so many or more"),
        (("decay", "--tokens", "1k", "--facts", 167), "do not fit into --tokens 1000, 166 are the most"),
        (("recall", "--tokens", "10m", "--facts", "1m"), f"there are {KEYS:,} different keys"),
        (("recall", "--tokens", "1k,2k", "--facts", "1,2,3"), "2 numbers of tokens and 3 of facts"),
        (("recall", "--seconds", 5), "name some with --peers"),
        (("lm", __file__, "--seed", 1), "--seed is for peers to train; name what they are to read with --train"),
        (("lm", __file__, "--tokens", "1k"), "--tokens is for peers"),
        (("lm", __file__, "--peers", "rmt"), "--peers is for peers"),
        (("recall", "--checkpoint", "/nowhere.safetensors"), "/nowhere.safetensors is no file"),
        (("quantisation", "--tokens", 500), "give 1,600 or more"),
        (("decay", "--tokens", 500), "give 800 or more"),
        (("decay", "--facts", 3), "4 or more"),
        (("decay", "--seed", "1,2", "--fit-on", 2), "--fit-on 2"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_limit(arguments: tuple[object, ...], said: str) -> None:
    result = call(*arguments)
    assert result.exit_code == 1
    assert said in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("recall", "--peers", "nonsense"), "give some of windowed"),
        (("nonsense",), "'recall', 'cost', 'quantisation', 'decay'"),
        (("cost", "--sizes", "many"), "write 100k, 1m or 2500"),
        (("recall", "--tokens", "1,000"), "'1,000': commas stand between amounts"),
        (("lm", __file__, "--sizes", "0,1,024"), "'0,1,024': commas stand between amounts"),
        (("cost", "--sizes", "1k,0"), "'0' is no number of 1 or more"),
        (("decay", "--seed", "-1"), "write a whole number"),
        (("decay", "--fit-on", "-1"), "write a whole number"),
        (("cost", "--seed", "0,1"), "'0,1' is no seed"),
        (("cost", "--chunk", "1k,2k"), "'1k,2k' is no number"),
        (("recall", "--tokens", "999999999m"), "'999999999m' is too many; 1600m are the most"),
        (["cost", "--chunk", "5m"], "'5m' is too many; 100k are the most"),
        (("cost", "--sizes", "1k," + "9" * 20), f"'{'9' * 20}' is too many; 1600m are the most"),
        (("recall", "--tokens", "9" * 9_000), "9… is too many; 1600m are the most"),
        (("cost", "--repeats", "9" * 20), f"'{'9' * 20}' is too many; 999999999 are the most"),
        (("recall", "--seed", "9999999999"), "from 0 to 999999999"),
        ((), "NAME is missing: give one of recall, cost, quantisation, decay, task, lm"),
    ],
)
def test_wrong_words_are_exit_code_2_with_those_there_are(arguments: tuple[object, ...], said: str) -> None:
    result = call(*arguments)
    assert result.exit_code == 2
    assert said in result.stderr


def test_a_model_of_something_else_is_refused(tmp_path: Path) -> None:
    MemoryCrystal(dimension=32).save(tmp_path / "crystal.safetensors")
    untrained(vocabulary=20).save(tmp_path / "few.safetensors")
    assert (
        "holds MemoryCrystal; a TokenModel is needed"
        in call("cost", "--checkpoint", tmp_path / "crystal.safetensors").stderr
    )
    assert "20 tokens and the recall task has 66" in call("cost", "--checkpoint", tmp_path / "few.safetensors").stderr
    untrained(vocabulary=100).save(
        tmp_path / "chains.safetensors", "agentmem train neural task chains", {"task": "chains"}
    )
    chains = ("--checkpoint", tmp_path / "chains.safetensors", "--tokens", "1k")
    said = "was made by `agentmem train neural task chains` and has not learned the recall task; name a model that has"
    assert said in call("recall", *chains).stderr
    assert call("cost", *chains[:2], "--sizes", "1k", "--repeats", 1).exit_code == 0


def test_a_machine_with_too_little_memory_is_told_so(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def allocate(*_: object) -> None:
        raise RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory: you tried")

    monkeypatch.setattr("agentmem.bench.neural.recall.measure", allocate)
    result = call("recall", "--tokens", "1k", "--checkpoint", checkpoint)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "this machine has too little memory for it: give fewer tokens" in result.stderr


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_refused_before_anything_is_measured(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    assert "cannot be written in; name another folder" in call("recall", "--tokens", "1k", "--out", tmp_path).stderr


@pytest.mark.parametrize("name", ["", *MEASUREMENTS])
def test_help_fits_eighty_columns(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    result = call(*filter(None, [name]), "--help")
    assert result.exit_code == 0
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert f"agentmem bench neural {name}".strip() in result.stdout


def test_a_peer_that_is_not_installed_is_told_with_the_line_that_installs_it(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "minGRU_pytorch.minLM", None)
    result = call("recall", "--tokens", "10m", "--peers", "windowed,mingru", "--checkpoint", checkpoint)
    assert result.exit_code == 1
    assert as_installed("pip install 'agentmem-crystal[peers]'") in result.stderr


# ---- the package's own checkpoint


def test_the_shipped_checkpoint_recalls_nine_in_ten_facts_of_20_000_tokens() -> None:
    assert measured(None).file == checkpoints.path("recall")
    found = results("recall", "--tokens", "20k", "--facts", 200, "--questions", 100)
    assert found["exact"] >= 0.9
