"""`agentmem bench integrations`: what every peer is given, how its answers are packed, and the table."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from benched import history, write_histories
from typer.testing import CliRunner, Result

from agentmem.bench.integrations import command, picture, report
from agentmem.bench.integrations.answers import Ranked, Told, items_of, line_of, system_of
from agentmem.bench.integrations.command import ROWS, at_end, results_of
from agentmem.bench.peers import entries
from agentmem.bench.peers.entries import ENTRIES
from agentmem.bench.peers.ours import Ours
from agentmem.bench.peers.racer import Racer, missing, started
from agentmem.bench.peers.summary import extractive, scripted
from agentmem.bench.peers.vectors import vectors
from agentmem.bench.recall.pictures import figure_of
from agentmem.bench.recall.reading import history_of
from agentmem.cli import app
from agentmem.tokens import count

HOUSE = history_of(history("house"))
LINES = [line_of(step) for step in HOUSE.steps]
KEY = "Where was the brass key lying?"
QUICK = {"agentmem", "agentmem plain", "agentmem store", "langgraph-memory", "summarization extractive"}
"""A peer is a process, and takes a second to start."""
NAMES = [
    pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for names in ROWS.values() for name in names
]


def call(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["bench", "integrations", *map(str, arguments)])


@pytest.fixture(autouse=True, scope="module")
def _own_counter(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """tiktoken finds no table, so that the counter is the same on every machine, in the peers' processes too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path_factory.mktemp("empty")))
        yield


@pytest.fixture(scope="module")
def every(_own_counter: None) -> Iterator[dict[str, Racer]]:
    """The peers that are installed, each started when it is first asked for; a test opens a new store in it."""
    with ExitStack() as stack:

        class Started(dict[str, Racer]):
            def __missing__(self, name: str) -> Racer:
                self[name] = stack.enter_context(started([name]))[name]
                return self[name]

        yield Started()


def opened(every: dict[str, Racer], name: str) -> Racer:
    if missing([name]):
        pytest.skip(missing([name])[name])
    if not every[name].running:
        assert every[name].note == "it needs a Python whose sqlite3 loads extensions, which this one's does not"
        pytest.skip(every[name].note)
    every[name].order(open=True)
    return every[name]


# ---- what is given


def test_every_text_has_its_speaker_in_front_and_stands_in_log_order() -> None:
    items = items_of(HOUSE)
    assert [item.text for item in items] == LINES
    assert items[0].text.startswith("ann: In the kitchen")
    assert [item.key for item in items] == sorted(item.key for item in items)


def test_no_time_stands_in_a_text_where_it_would_take_room() -> None:
    assert not any("2026" in item.text for item in items_of(HOUSE))


def test_the_parts_say_the_same_as_the_text_and_the_session_with_its_history() -> None:
    said = items_of(HOUSE)[4].said
    assert said is not None
    assert (said.text, said.actor, said.time) == (HOUSE.steps[4].text, "ann", "2026-01-02T10:00:00")
    assert said.session == "house/day1"


def test_only_questions_of_the_end_are_asked() -> None:
    told = history("house")
    told["questions"][0]["asked_at"] = "step:s3"
    kept = at_end(history_of(told))
    assert [question.id for question in kept.questions] == [f"q{n}" for n in range(1, 8)]


def test_plain_texts_are_one_episode_and_parts_an_episode_for_each_session(tmp_path: Path) -> None:
    episodes = {}
    for plain in (True, False):
        (folder := tmp_path / str(plain)).mkdir()
        ours = Ours(folder, "process", plain)
        ours.add_many(items_of(HOUSE)[:3])
        for item in items_of(HOUSE)[3:]:
            ours.add(item)
        ours.settle()
        steps = list(ours.memory.steps())
        episodes[plain] = [episode.id for episode in ours.memory.episodes()]
        assert [step.text for step in steps] == (LINES if plain else [step.text for step in HOUSE.steps])
        ours.close()
    assert episodes == {True: ["bench/0"], False: ["house/day0/0", "house/day1/4"]}


def test_vectors_are_of_length_one_so_that_every_distance_orders_them_alike() -> None:
    assert (vectors(LINES) ** 2).sum(axis=1) == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize("name", [one for one in NAMES if one.values[0].startswith("lang")])
def test_peers_that_search_by_vectors_alone_find_the_same_in_the_same_order(every: dict[str, Racer], name: str) -> None:
    racer = opened(every, name)
    racer.order(add_many=items_of(HOUSE))
    expected = vectors(LINES) @ vectors([KEY])[0]
    (answer,) = racer.told(search=[KEY], most=8)["answers"]
    assert answer == [LINES[place] for place in sorted(range(8), key=lambda place: -expected[place])]


# ---- how answers are packed


def test_a_peers_texts_are_packed_whole_in_its_own_order_and_shown_in_the_logs() -> None:
    order = [LINES[5], LINES[0], LINES[3]]
    ranked = Ranked("peer", HOUSE.steps, count, {KEY: order})
    two = count(LINES[5]) + count(LINES[0]) + 2
    assert ranked.recall(KEY, two, 8) == f"{LINES[0]}\n{LINES[5]}"
    assert ranked.recall(KEY, 10_000, 8) == "\n".join(LINES[place] for place in (0, 3, 5))


def test_what_does_not_fit_is_passed_over() -> None:
    steps = [HOUSE.steps[0]._replace(text="word " * 500), HOUSE.steps[1]]
    ranked = Ranked("peer", steps, count, {KEY: [line_of(step) for step in steps]})
    assert ranked.recall(KEY, 100, 2) == line_of(steps[1])


def test_a_text_that_nobody_gave_is_an_error() -> None:
    with pytest.raises(KeyError):
        Ranked("peer", HOUSE.steps, count, {KEY: ["The key is in the well."]}).recall(KEY, 100, 8)


def test_a_context_is_read_as_it_stands() -> None:
    system = system_of("ours", HOUSE, count, {KEY: LINES[0]})
    assert isinstance(system, Told)
    assert system.recall(KEY, 1, 8) == LINES[0]
    assert isinstance(system_of("peer", HOUSE, count, {KEY: [LINES[0]]}), Ranked)


# ---- the summaries


@pytest.mark.parametrize("make", [scripted, extractive])
def test_a_summary_and_the_newest_messages_stay_within_the_budget(make: Any, tmp_path: Path) -> None:
    peer = make(tmp_path)
    items = [item for n in range(12) for item in items_of(history_of(history(f"house{n}")))]
    items = [item._replace(key=f"{place}") for place, item in enumerate(items)]
    sizes = []
    for item in items:
        peer.add(item)
        sizes.append(count(peer.answer(peer.search(KEY, 1))))
    said = peer.answer(peer.search(KEY, 1))
    assert max(sizes) <= 1024
    assert said.startswith("Here is a summary of the conversation to date:")
    assert said.endswith(items[-1].text)


def test_the_scripted_model_repeats_the_first_words_of_each_message(tmp_path: Path) -> None:
    peer = scripted(tmp_path)
    for place, item in enumerate(items_of(HOUSE) * 6):
        peer.add(item._replace(key=str(place), text=f"Tom & Ann, {place}: {item.text}"))
    (first, *_) = peer.messages
    summary = [line for line in first.text.splitlines()[2:] if not line.startswith("Here is a summary")]
    assert all(line.startswith("Tom & Ann, ") and len(line.split()) == 8 for line in summary)
    assert len(summary) > 3


# ---- peers, as many as are installed


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.slow
def test_a_peer_finds_what_it_was_given_one_by_one_and_several_at_once(every: dict[str, Racer], name: str) -> None:
    racer, items = opened(every, name), items_of(HOUSE)
    assert len(racer.order(add=items[:4])) == 4
    assert len(racer.order(add_many=items[4:])) == 1
    racer.order(do=["settle"])
    (answer,) = racer.told(search=[KEY], most=3)["answers"]
    assert HOUSE.steps[0].text in (answer if isinstance(answer, str) else answer[0])
    assert isinstance(answer, str) or len(answer) == 3
    racer.order(do=["close"])
    assert (racer.bytes > 0) == ENTRIES[name].durable
    racer.order(open=True)
    assert racer.running


@pytest.mark.parametrize("name", NAMES)
def test_the_same_text_may_stand_twice_in_what_is_given_at_once(every: dict[str, Racer], name: str) -> None:
    racer = opened(every, name)
    twice = [item._replace(key=f"{item.key}{copy}") for copy in "ab" for item in items_of(HOUSE)[:2]]
    assert len(racer.order(add_many=twice)) == 1
    (answer,) = racer.told(search=[KEY], most=4)["answers"]
    assert HOUSE.steps[0].text in (answer if isinstance(answer, str) else answer[0])


def test_a_process_that_ends_leaves_a_note_and_no_figures() -> None:
    with started(["agentmem plain"]) as racers:
        racer = racers["agentmem plain"]
        assert racer.order(do=["nothing that it can"]) == []
        assert (racer.running, racer.note) == (False, "its process ended; see its message above")
        assert racer.order(search=[KEY]) == []


# ---- the command


def here(name: str, package: str | None = None) -> Any:
    """As `find_spec`, where two packages are not installed."""
    return None if name in ("chromadb", "mem0") else find_spec(name, package)


@pytest.fixture(scope="module")
def results(every: dict[str, Racer], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What the command says; it is given the processes that run here already."""

    @contextmanager
    def running(names: list[str], progress: Callable[[], object]) -> Iterator[dict[str, Racer]]:
        yield {name: every[name] for name in names}

    folder = tmp_path_factory.mktemp("integrations")
    file = write_histories(folder / "rooms.jsonl", *(history(f"house{n}") for n in range(4)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(entries, "find_spec", here)
        patch.setattr(command, "started", running)
        options = ("--histories", 3, "--questions", 6, "--json", "--out", folder / "made")
        result = call(file, "--peers", "langgraph-memory,chroma,mem0,summarization", *options)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout) | {"folder": folder / "made"}


@pytest.mark.slow
def test_every_row_has_figures_or_the_line_that_installs_what_is_missing(results: Any) -> None:
    rows = {row["name"]: row for row in results["rows"]}
    assert list(rows) == [
        "agentmem", "agentmem plain", "agentmem store", "langgraph-memory", "chroma", "mem0", "summarization",
        "summarization extractive",
    ]  # fmt: skip
    for name, package in (("chroma", "chromadb"), ("mem0", "mem0ai")):
        assert rows[name]["note"] == f"not installed: pip install 'agentmem-crystal[peers]' (here: {package})"
    for row in rows.values():
        if not row["note"]:
            assert 0 < row["append_us"]["p50"] <= row["append_us"]["p95"]


@pytest.mark.slow
def test_evidence_is_scored_for_all_but_the_scripted_model(results: Any) -> None:
    rows = {row["name"]: row for row in results["rows"]}
    for name in ("agentmem", "agentmem plain", "agentmem store", "langgraph-memory"):
        assert (rows[name]["evidence"]["mean"], rows[name]["n"], rows[name]["overruns"]) == (1.0, 18, 0)
    assert rows["summarization"]["evidence"] is None
    assert rows["summarization extractive"]["n"] == 18


@pytest.mark.slow
def test_ratios_are_to_agentmem_and_only_of_what_both_have(results: Any) -> None:
    rows = {row["name"]: row for row in results["rows"]}
    assert set(rows["agentmem"]["x"].values()) == {1.0, None}
    assert rows["langgraph-memory"]["x"]["bytes"] is None
    ours, theirs = rows["agentmem"]["search_ms"]["p50"], rows["langgraph-memory"]["search_ms"]["p50"]
    assert rows["langgraph-memory"]["x"]["search_ms"] == pytest.approx(theirs / ours)
    assert rows["agentmem"]["bytes"] > 0
    assert rows["summarization extractive"]["search_ms"] is None


@pytest.mark.slow
def test_it_is_written_as_markdown_and_as_a_picture(results: Any) -> None:
    said = (results["folder"] / "results.md").read_text()
    assert said == report.markdown(results)
    assert "rooms: 3 histories" in said
    assert "- Chroma: not installed: pip install 'agentmem-crystal[peers]'" in said
    assert "No language model writes so" in said
    assert (results["folder"] / "integrations.png").read_bytes().startswith(b"\x89PNG")


def test_sizes_stand_as_numbers_and_a_mark_goes_around_one_that_lies_there_already(tmp_path: Path) -> None:
    figure, (axis,) = figure_of(8, 4)
    axis.set(xscale="log", xlim=(150, 21_000))
    picture._in_words(axis.xaxis)
    figure.draw_without_rendering()
    shown = [tick.get_text() for tick in axis.get_xticklabels()]
    assert {"200", "1,000", "20,000"} <= set(shown)
    assert picture._is_close((16_994, 0.577), (16_795, 0.577))
    assert not picture._is_close((3_033, 0.577), (3_343, 0.574))
    sizes = {"agentmem": (265, 0), "one": (0, 16_994), "other": (0, 16_795)}
    rows = [
        {"name": name, "title": name, "evidence": {"mean": 0.6}, "bytes": disk, "resident": resident}
        for name, (disk, resident) in sizes.items()
    ]
    drawn = picture.draw({"settings": {"budget": 1_024}, "rows": rows}, tmp_path)
    assert drawn.read_bytes().startswith(b"\x89PNG")


def test_a_peer_that_stopped_has_a_note_in_place_of_figures() -> None:
    scores = {"settings": {}, "files": [], "macro": {}}
    figures = dict.fromkeys(("append_us", "batch_us", "search_ms", "bytes"))
    rows = results_of(["agentmem", "chroma"], {"chroma": "its process ended"}, {"agentmem": figures}, scores)["rows"]
    assert rows[1] == {"name": "chroma", "title": "Chroma", "note": "its process ended"}
    rows = results_of(["agentmem", "chroma"], {"agentmem": "its process ended"}, {"chroma": figures}, scores)["rows"]
    assert set(rows[1]["x"].values()) == {None}


@pytest.mark.parametrize(
    ("arguments", "said"), [(["--peers", "nobody"], "'nobody' is unknown"), (["--questions", "x"], "no whole number")]
)
def test_wrong_arguments_are_named(arguments: list[str], said: str) -> None:
    result = call(*arguments)
    assert result.exit_code == 2
    assert said in result.stderr
