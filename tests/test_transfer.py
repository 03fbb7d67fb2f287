"""Export and import: the log travels byte for byte."""

import gzip
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentmem import InvalidInputError, Memory
from agentmem.ingest import ingest
from agentmem.testing import FakeClock
from agentmem.transfer import Exporter, export


def opened(path: Path | str = ":memory:") -> Memory:
    return Memory.open(path, clock=FakeClock(), encoder=None, durability="process")


@pytest.fixture
def memory() -> Memory:
    """Two interleaved episodes with everything that log takes, and every kind of event."""
    memory = opened()
    shop, door = memory.episode(goal="run the shop", id="shop", agent="clerk"), memory.episode(id="door")
    asked = shop.log("Do you have blue paint?", kind="message", actor="Ann", subjects=("ann",), trust="user", key="q1")
    door.observe("The red door is locked.", data={"room": [1, 2.5, None], "open": False})
    shop.log("", kind="action", reply_to=asked.id)
    odd = shop.log("Ünïcode, \u2028, \x00 and\ttabs", blobs={"photo": b"\x00\xffpng"}, at="2026-01-02T03:04:05+01:00")
    shop.recall("which door is locked?", budget=50)
    door.log("It opens.", reward=0.5, terminated=True, reply_to=odd.id)
    door.end()
    memory.forget(steps=[asked.id, odd.id])
    memory.forget(steps=[odd.id], undo=True)
    memory.pin(odd.id)
    return memory


def exported(memory: Memory, path: Path, derived: bool = False) -> bytes:
    memory.export(path, derived=derived)
    return path.read_bytes()


def parsed(data: bytes) -> list[dict[str, object]]:
    return [json.loads(line) for line in data.decode().split("\n") if line]


def steps_of(data: bytes) -> list[dict[str, object]]:
    return [line for line in parsed(data) if "type" not in line]


def test_export_then_import_then_export_gives_the_same_bytes(memory: Memory, tmp_path: Path) -> None:
    first = exported(memory, tmp_path / "a.jsonl")
    copy = opened()
    ingest(copy, tmp_path / "a.jsonl")
    assert exported(copy, tmp_path / "b.jsonl") == first


def test_the_copy_recalls_the_same(memory: Memory, tmp_path: Path) -> None:
    memory.export(tmp_path / "a.jsonl")
    copy = opened()
    ingest(copy, tmp_path / "a.jsonl")
    for one in (memory, copy):
        one.crystallize()
    assert copy.recall("red door").text == memory.recall("red door").text
    assert [c.text for c in copy.crystals()] == [c.text for c in memory.crystals()]
    assert without_keys(copy) == without_keys(memory)


def without_keys(memory: Memory) -> list[dict[str, object]]:
    return [step.model_dump(exclude={"key"}) for step in memory.steps()]


def test_the_law_holds_where_steps_were_erased(memory: Memory, tmp_path: Path) -> None:
    memory.erase(subject="ann")
    first = exported(memory, tmp_path / "a.jsonl")
    copy = opened()
    ingest(copy, tmp_path / "a.jsonl")
    assert exported(copy, tmp_path / "b.jsonl") == first
    assert b"blue paint" not in first


def test_the_law_holds_for_one_namespace_of_a_file(tmp_path: Path) -> None:
    memory = opened()
    for number in range(6):
        memory.scoped("acme", "ann" if number % 2 else "bob").episode(id="e").observe(f"step {number}")
    first = exported(memory.scoped("acme", "ann"), tmp_path / "a.jsonl")
    copy = opened()
    ingest(copy, tmp_path / "a.jsonl")
    assert [line["namespace"] for line in steps_of(first)] == [["acme", "ann"]] * 3
    assert exported(copy.scoped("acme", "ann"), tmp_path / "b.jsonl") == first


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=5,
)
STEP = st.fixed_dictionaries(
    {"text": TEXTS, "kind": st.sampled_from(["observation", "action", "message"])},
    optional={
        "actor": TEXTS.filter(bool),
        "at": st.datetimes().map(lambda moment: moment.isoformat()),
        "data": VALUES,
        "blobs": st.dictionaries(TEXTS.filter(bool), st.binary(max_size=9), max_size=2),
        "reward": st.floats(allow_nan=False, allow_infinity=False),
        "terminated": st.booleans(),
        "truncated": st.booleans(),
        "subjects": st.lists(TEXTS.filter(bool), max_size=2),
        "trust": st.sampled_from(["system", "operator", "user", "tool", "web"]),
    },
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.sampled_from("abc"), STEP, st.booleans()), max_size=8))
def test_any_log_travels_byte_for_byte(tmp_path: Path, steps: list[tuple[str, dict[str, object], bool]]) -> None:
    with opened() as memory, opened() as copy:
        for number, (episode, step, keyed) in enumerate(steps):
            memory.episode(id=episode).log_many([step | ({"key": f"k{number}"} if keyed else {})])
        first = exported(memory, tmp_path / "a.jsonl")
        ingest(copy, tmp_path / "a.jsonl")
        assert exported(copy, tmp_path / "b.jsonl") == first


def test_one_step_per_line_in_log_order_with_log_s_keywords(memory: Memory, tmp_path: Path) -> None:
    steps = steps_of(exported(memory, tmp_path / "a.jsonl"))
    assert [line["episode"] for line in steps] == ["shop", "door", "shop", "shop", "door"]
    assert steps[0] == {
        "id": "q1",
        "episode": "shop",
        "kind": "message",
        "actor": "Ann",
        "text": "Do you have blue paint?",
        "key": "q1",
        "subjects": ["ann"],
        "trust": "user",
        "logged_at": "2026-01-01T00:00:02+00:00",
    }
    assert steps[2]["reply_to"] == "q1"
    assert steps[3]["blobs"] == {"photo": "AP9wbmc="}


def test_an_import_can_be_repeated_and_adds_nothing(memory: Memory, tmp_path: Path) -> None:
    first = exported(memory, tmp_path / "a.jsonl")
    copy = opened()
    assert ingest(copy, tmp_path / "a.jsonl").steps == 5
    again = ingest(copy, tmp_path / "a.jsonl")
    assert (again.steps, again.known) == (0, 5)
    assert exported(copy, tmp_path / "b.jsonl") == first


def test_reading_an_export_back_into_its_own_memory_adds_nothing(memory: Memory, tmp_path: Path) -> None:
    first = exported(memory, tmp_path / "a.jsonl")
    assert ingest(memory, tmp_path / "a.jsonl").steps == 0
    assert exported(memory, tmp_path / "b.jsonl") == first


def test_a_user_s_key_still_makes_a_retry_safe_after_an_import(memory: Memory, tmp_path: Path) -> None:
    memory.export(tmp_path / "a.jsonl")
    copy = opened()
    ingest(copy, tmp_path / "a.jsonl")
    fields = {"kind": "message", "actor": "Ann", "subjects": ("ann",), "trust": "user", "key": "q1"}
    copy.episode(id="shop").log("Do you have blue paint?", **fields)
    assert sum(step.key == "q1" for step in copy.steps()) == 1


def test_exports_of_two_memories_can_be_read_into_one(tmp_path: Path) -> None:
    both = opened()
    for name in ("a", "b"):
        with opened() as memory:
            memory.episode(id=name).observe(f"I am {name}.")
            memory.export(tmp_path / name)
        ingest(both, tmp_path / name)
    assert [step.text for step in both.steps()] == ["I am a.", "I am b."]


def test_an_open_episode_stays_open_and_an_ended_one_ended(memory: Memory, tmp_path: Path) -> None:
    memory.export(tmp_path / "a.jsonl")
    copy = opened()
    ingest(copy, tmp_path / "a.jsonl")
    assert {e.id: (e.goal, e.agent, e.ended is None) for e in copy.episodes()} == {
        "shop": ("run the shop", "clerk", True),
        "door": (None, None, False),
    }


def test_crystals_are_written_only_with_derived_and_not_read_back(memory: Memory, tmp_path: Path) -> None:
    with memory.episode(id="shop"):
        pass
    plain, derived = exported(memory, tmp_path / "a.jsonl"), exported(memory, tmp_path / "d.jsonl", derived=True)
    crystals = [line for line in parsed(derived) if line.get("type") == "crystal"]
    assert derived.startswith(plain)
    assert [line["id"] for line in crystals] == [crystal.id for crystal in memory.crystals()]
    copy = opened()
    ingest(copy, tmp_path / "d.jsonl")
    assert exported(copy, tmp_path / "b.jsonl") == plain


def test_a_name_in_gz_is_packed_and_the_same_twice(memory: Memory, tmp_path: Path) -> None:
    plain, packed = exported(memory, tmp_path / "a.jsonl"), exported(memory, tmp_path / "a.jsonl.gz")
    assert gzip.decompress(packed) == plain
    assert exported(memory, tmp_path / "b.jsonl.gz") == packed


def test_an_export_that_fails_leaves_what_was_there(memory: Memory, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text("old")
    memory.close()
    with pytest.raises(Exception, match="closed"):
        export(memory._core.store, [()], path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


STEP_LINE = {"id": "1", "episode": "e", "text": "x"}


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ({"id": "1", "episode": "e", "txt": "x"}, "field 'txt' is unknown; did you mean 'text'?"),
        ({"id": "1", "episode": "e"}, "the line has no text"),
        ({"id": "1", "text": "x"}, "episode '' must be a non-empty str"),
        ({"episode": "e", "text": "x"}, "id '' must be a non-empty str"),
        ({"id": "1", "episode": "e", "text": "x", "kind": "dream"}, "kind 'dream' is unknown"),
        ({"id": "1", "episode": "e", "text": "x", "at": "noon"}, "at 'noon' is no ISO time"),
        ({"id": "1", "episode": "e", "text": "x", "reply_to": "0"}, "reply_to '0' is the id of no line before"),
        ({"id": "1", "episode": "e", "text": "x", "blobs": {"a": "?"}}, "blob 'a' is not base64"),
        ({"id": "1", "episode": "e", "text": "x", "blobs": 1}, "blobs 1 is not an object"),
        ({"id": "1", "episode": "e", "text": "x", "logged_at": 1}, "logged_at 1 is no ISO time"),
        ({"id": "1", "episode": "e", "text": 7}, "text must be str, not int"),
        ({"type": "thought", "episode": "e"}, "type 'thought' is unknown; it is step"),
        (STEP_LINE | {"recalled": 5}, "recalled 5 is not a list"),
        (STEP_LINE | {"recalled": [3]}, "recalled has 3; give [start, end]"),
        (STEP_LINE | {"recalled": [[0, "1"]]}, "recalled has [0, '1']; give [start, end]"),
        (STEP_LINE | {"recalled": [[0, 2]]}, "recalled has [0, 2]; give [start, end] with 0 <= start < end"),
        (STEP_LINE | {"recalled_from": "0a"}, "recalled_from '0a' is not a list"),
        (STEP_LINE | {"recalled_from": [["0a"]]}, "recalled_from [['0a']] are not all ids"),
        (STEP_LINE | {"reply_to": ["0a"]}, "reply_to ['0a'] is not a str"),
        (STEP_LINE | {"lost": "much"}, "lost 'much' is no share"),
        (STEP_LINE | {"terminated": "yes"}, "terminated 'yes' must be True or False"),
        (STEP_LINE | {"subjects": [5]}, "subject 5 must be a non-empty str"),
        ({"type": "forget", "steps": [{}]}, "steps [{}] are not all ids"),
        ({"type": "recall", "episode": "e", "steps": [], "hits": [[]]}, "hits [[]] are not all ids"),
        ({"type": "recall", "episode": "e", "steps": [], "as_of": []}, "as_of [] is not a str"),
    ],
)
def test_a_line_that_cannot_be_logged_says_what_is_wrong(tmp_path: Path, line: dict[str, object], problem: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"id": "0a", "episode": "e", "text": "good"}) + "\n" + json.dumps(line) + "\n")
    memory = opened()
    with pytest.raises(InvalidInputError) as raised:
        ingest(memory, path)
    assert f"{path}, line 2: {problem}" in str(raised.value)
    assert "--skip-bad" in str(raised.value)
    assert memory.head().position == 0


def test_what_is_logged_during_an_export_stays_out_of_it(memory: Memory) -> None:
    lines = Exporter(memory._core.store, [()]).lines()
    first = next(lines)
    memory.episode(id="late").log("Too late.")
    assert "Too late." not in first + "".join(lines)


def test_a_logged_at_without_a_zone_means_utc(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"id": "1", "episode": "e", "kind": "action", "text": "go", "logged_at": "2026-01-01T12:00:00"}\n')
    copy = opened()
    ingest(copy, path)
    assert next(copy.steps()).logged_at == datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize("moment", ["9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00"])
def test_a_line_logged_at_a_time_that_has_no_year_is_refused(tmp_path: Path, moment: str) -> None:
    line = {"id": "a", "episode": "e", "text": "The red door is open.", "logged_at": moment}
    (tmp_path / "log.jsonl").write_text(json.dumps(line))
    with opened(tmp_path / "a.mem") as memory:
        with pytest.raises(InvalidInputError, match="logged_at .* is no ISO time"):
            ingest(memory, tmp_path / "log.jsonl", format="export")
        assert list(memory.steps()) == []
