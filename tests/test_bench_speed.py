"""`agentmem bench speed`: histories that grow, memories gone on with, figures, bars, and peers that are not there."""

import json
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from benched import history, write_histories
from typer.testing import CliRunner, Result

from agentmem.bench.peers import entries
from agentmem.bench.recall.counting import Counter
from agentmem.bench.recall.reading import history_of
from agentmem.bench.speed import bars, race, report
from agentmem.bench.speed.build import Workshop
from agentmem.bench.speed.forms import cased, class_of
from agentmem.bench.speed.grow import Grown, Growth, in_turns
from agentmem.bench.speed.heaps import Heaps
from agentmem.cli import app
from agentmem.errors import InvalidInputError
from agentmem.memory import Memory
from agentmem.tokens import count
from agentmem.words import stems

HISTORIES = [history_of(history(name)) for name in ("house", "castle")]
CYCLE = 16
COUNTER = Counter("agentmem's own", count)


def grown(cycles: int, seed: int = 0) -> list[Grown]:
    return list(islice(Growth(HISTORIES, count, seed), cycles * CYCLE))


def call(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["bench", "speed", *map(str, arguments)])


def here(name: str, package: str | None = None) -> Any:
    """As `find_spec`, where no peer is installed."""
    return find_spec(name, package) if name.startswith("agentmem") else None


# ---- growing


def test_the_first_cycle_is_the_histories_with_their_sessions_in_turns() -> None:
    sessions = [(one.id, len(places)) for one, places in in_turns(HISTORIES)]
    assert sessions == [("house", 4), ("castle", 4), ("house", 4), ("castle", 4)]
    assert sorted(one.step.text for one in grown(1)) == sorted(step.text for one in HISTORIES for step in one.steps)


def test_the_same_seed_grows_the_same_steps_and_another_seed_others() -> None:
    assert grown(4) == grown(4)
    assert grown(4)[:CYCLE] == grown(4, seed=1)[:CYCLE]
    assert grown(4)[CYCLE:] != grown(4, seed=1)[CYCLE:]


def test_no_step_of_a_cycle_is_a_step_of_an_earlier_one() -> None:
    steps = grown(12)
    cycles = [{one.step.text for one in steps[n * CYCLE : (n + 1) * CYCLE]} for n in range(12)]
    assert len(set.union(*cycles)) == sum(map(len, cycles))
    assert len({(one.step.session, one.step.text) for one in steps}) == 12 * CYCLE


def test_steps_of_nothing_but_function_words_are_no_repeats_either() -> None:
    told = history()
    told["steps"] = [{**told["steps"][0], "id": "s", "text": text} for text in ("yes", "no", "", "it is")]
    told["questions"] = []
    texts = [one.step.text for one in islice(Growth([history_of(told)], count), 40)]
    assert texts[:4] == ["yes", "no", "", "it is"]
    assert len(set(texts)) == 40


def test_the_vocabulary_grows_as_heaps_law_says() -> None:
    growth = Growth(HISTORIES, count)
    steps = list(islice(growth, 10 * CYCLE))
    known = [len({stem for one in steps[: n * CYCLE] for stem in stems(one.step.text)}) for n in (1, 4, 10)]
    assert known[0] < known[1] < known[2] == len(growth.stems)
    assert known[2] == pytest.approx(growth.heaps.at(growth.tokens), rel=0.1)


def test_heaps_exponent_is_found_and_extrapolated() -> None:
    law = Heaps()
    for tokens in range(10, 5000, 10):
        law.see(tokens, round(10 * tokens**0.6))
    law.fit()
    assert law.exponent == pytest.approx(0.6, abs=0.01)
    assert law.at(100_000) == pytest.approx(10 * 100_000**0.6, rel=0.05)


def test_a_cue_comes_with_the_last_of_its_evidence_in_the_words_of_its_cycle() -> None:
    steps = grown(3)
    assert steps[0].cues == ("Where was the brass key lying?",)
    assert sum(len(one.cues) for one in steps) == 3 * CYCLE
    varied = [(one.cues[0].split()[3:5], one.step.text) for one in steps[2 * CYCLE :]]
    assert sum(" ".join(thing).lower() in text.lower() for thing, text in varied) >= CYCLE // 2


def test_times_go_on_and_sessions_are_new_in_each_cycle() -> None:
    first, later = grown(3)[0].step, grown(3)[2 * CYCLE].step
    assert (first.session, later.session) == ("house/day0", "house/day0@2")
    assert (first.time, later.time) == ("2026-01-01T10:00:00", "2026-01-05T10:06:00")


@pytest.mark.parametrize(
    ("word", "capital", "kind"),
    [
        ("the", False, None),
        ("2024", False, None),
        ("48213", False, "number"),
        ("x86", False, "mixed"),
        ("caroline", True, "name"),
        ("walk", False, "word"),
        ("größe", False, None),
    ],
)
def test_words_have_classes(word: str, capital: bool, kind: str | None) -> None:
    assert class_of(word, capital) == kind


def test_a_word_stands_in_the_letters_of_the_one_it_replaces() -> None:
    assert [cased("bado", like) for like in ("word", "Word", "WORD", "getWord")] == ["bado", "Bado", "BADO", "bado"]


def test_histories_without_steps_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="no step to grow from"):
        Growth([HISTORIES[0]._replace(steps=[])], count)


# ---- building


class Stopped(Exception):
    pass


def texts_of(path: Path) -> list[str]:
    with Memory.open(path, read_only=True) as memory:
        return [step.text for step in memory.steps()]


def test_an_interrupted_memory_is_gone_on_with_and_a_whole_one_used_again(tmp_path: Path) -> None:
    workshop = Workshop(tmp_path, HISTORIES, COUNTER)

    def stop(tokens: int) -> None:
        if tokens > 800:
            raise Stopped

    with pytest.raises(Stopped):
        workshop.build("keep", 1500, stop)
    logged: list[int] = []
    path, built = workshop.build("keep", 1500, logged.append)
    expected = [one.step.text for one in islice(Growth(HISTORIES, count), built.steps)]
    assert texts_of(path) == expected
    assert built.tokens >= 1500
    assert built.whole
    assert workshop.build("keep", 1500, lambda tokens: pytest.fail("built again"))[1] == built


def test_a_larger_memory_goes_on_from_a_smaller_one(tmp_path: Path) -> None:
    workshop = Workshop(tmp_path, HISTORIES, COUNTER)
    small, _ = workshop.build("keep", 500, lambda tokens: None)
    logged: list[int] = []
    large, built = workshop.build("keep", 900, logged.append)
    assert min(logged) > 500
    assert texts_of(large) == [one.step.text for one in islice(Growth(HISTORIES, count), built.steps)]
    assert texts_of(small) == texts_of(large)[: len(texts_of(small))]


# ---- the command


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("speed")
    file = write_histories(folder / "rooms.jsonl", history("house"), history("castle"))
    options = ("--sizes", "2500", "--cues", 5, "--peers", "mem0", "--items", 100, "--json")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(entries, "find_spec", here)
        patch.setenv("TIKTOKEN_CACHE_DIR", str(folder))
        result = call(file, *options, "--out", folder / "made")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout) | {"folder": folder / "made"}


@pytest.mark.slow
def test_a_size_is_measured_and_written(results: Any) -> None:
    (size,) = results["sizes"]
    assert size["tokens"] >= 2500
    assert size["steps"] >= 90
    assert size["cues"] == 5
    for name in ("observe_ms", "recall_ms", "recall_cpu_ms"):
        assert 0 < size[name]["p50"] <= size[name]["p99"]
    for name in ("log_many_steps_s", "crystallize_tokens_s", "first_recall_s", "context_tokens", "files"):
        assert size[name] > 0
    assert size["resident"] > 20e6
    assert len(size["slowest"]) == 5
    assert size["slowest"][0]["cpu_ms"] >= size["recall_cpu_ms"]["p99"]
    assert json.loads((results["folder"] / "keep-2.5k.json").read_text()) == size
    assert (results["folder"] / "speed.png").read_bytes().startswith(b"\x89PNG")
    assert (results["folder"] / "results.md").read_text() == report.markdown(results)


@pytest.mark.slow
def test_a_peer_that_is_not_installed_has_a_row_with_the_line_that_installs_it(results: Any) -> None:
    rows = {row["name"]: row for row in results["peers"]["rows"]}
    assert list(rows) == ["agentmem process", "agentmem power", "mem0"]
    assert rows["mem0"]["note"] == "not installed: pip install 'agentmem-crystal[peers]' (here: mem0ai)"
    assert rows["agentmem process"]["items"] == 100
    assert rows["agentmem process"]["log_x"] == 1.0
    assert results["peers"]["bars"] == [{"name": "log, mem0, over agentmem process", "value": None, "bar": 30}]
    assert "pip install 'agentmem-crystal[peers]'" in report.markdown(results)


@pytest.mark.slow
def test_bars_stand_beside_their_figures(results: Any) -> None:
    size = results["sizes"][0]
    million = size | {"size": 1_000_000, "tokens": 1_000_000, "recall_ms": {"p50": 5.0, "p99": 20.0}}
    ten = million | {"size": 10_000_000, "tokens": 10_000_000, "recall_ms": {"p50": 5.0, "p99": 27.0}}
    for fast, verdict in ((True, (True, False)), (False, (True, True))):
        rows = {row.name: row for row in bars.rows([million, ten], fast)}
        assert rows["recall, p99"].passed == verdict
        assert rows["recall, p99"].verdict == ("MISSED" if fast else "ok")
    assert rows["recall, p50"].verdict == ""


def test_every_bar_names_entries_that_there_are() -> None:
    assert {name for _, ours, theirs, _, _ in race.BARS for name in (ours, theirs)} <= set(entries.ENTRIES)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--sizes", "many"], "no number of 1 or more"),
        (["--sizes", "0k"], "no number of 1 or more"),
        (["--sizes", "9" * 20], "is too many; 1000000m are the most"),
        (["--retain", "half"], "'half' is unknown"),
        (["--peers", "nobody"], "'nobody' is unknown"),
        (["--cues", "0"], "0 is too few; give 1 or more"),
    ],
)
def test_wrong_arguments_are_named(arguments: list[str], said: str) -> None:
    result = call(*arguments)
    assert result.exit_code == 2
    assert said in result.stderr


def test_sizes_are_written_short() -> None:
    assert [report.short(size) for size in (2500, 100_000, 1_500_000, 10_000_000, 999)] == [
        "2.5k",
        "100k",
        "1.5m",
        "10m",
        "999",
    ]
