"""The page as one file, read without a browser."""

import base64
import hashlib
import json
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from seen import harbour, hostile, unpacked
from typer.testing import CliRunner

from agentmem import Memory
from agentmem.cli import app
from agentmem.errors import NotFoundError
from agentmem.replay.plain import to_json
from agentmem.viewer import export
from agentmem.viewer.page import MODULES, gathered, key, packed, read, whole


class Tags(HTMLParser):
    """What a document is made of. scripts: (type, content)."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.scripts: list[tuple[str | None, str]] = []
        self.styles: list[str] = []
        self.policy = ""
        self.inside = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.inside = tag
        given = dict(attributes)
        if tag == "script":
            self.scripts.append((given.get("type"), ""))
        if given.get("http-equiv") == "Content-Security-Policy":
            self.policy = given["content"] or ""

    def handle_data(self, data: str) -> None:
        if self.inside == "script":
            kind, before = self.scripts[-1]
            self.scripts[-1] = (kind, before + data)
        elif self.inside == "style":
            self.styles.append(data)

    def handle_endtag(self, tag: str) -> None:
        self.inside = ""


PLAIN = Tags(whole({}))


def hashed(content: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"


def test_only_the_script_and_style_whose_hashes_are_named_may_be_used(tmp_path: Path) -> None:
    with harbour(tmp_path / "a.mem") as memory:
        export(memory, tmp_path / "run.html")
    found = Tags((tmp_path / "run.html").read_text())
    assert [kind for kind, _ in found.scripts] == ["text/plain", "module"]
    assert f"script-src {hashed(found.scripts[1][1])};" in found.policy
    assert f"style-src {hashed(found.styles[0])};" in found.policy
    assert found.policy.startswith("default-src 'none';")
    assert "connect-src" not in found.policy
    assert "unsafe" not in found.policy


@given(st.dictionaries(st.text(max_size=20), st.text(max_size=60), max_size=4))
@settings(max_examples=60, deadline=None)
def test_whatever_the_answers_say_the_document_is_made_of_the_same_parts(answers: dict[str, str]) -> None:
    answers |= {f"</script>{name}": f"<!--<script>{said}" for name, said in answers.items()}
    found = Tags(whole(answers))
    assert found.tags == PLAIN.tags
    assert unpacked(found.scripts[0][1]) == answers
    assert found.policy == PLAIN.policy


def test_a_file_of_hostile_texts_is_made_of_the_same_parts(tmp_path: Path) -> None:
    with hostile(tmp_path / "a.mem") as memory:
        export(memory, tmp_path / "run.html", name="</title><script>")
    assert Tags((tmp_path / "run.html").read_text()).tags == PLAIN.tags


def test_the_same_memory_gives_the_same_file(tmp_path: Path) -> None:
    with harbour(tmp_path / "a.mem") as memory:
        export(memory, tmp_path / "one.html")
        export(memory, tmp_path / "other.html")
    assert (tmp_path / "one.html").read_bytes() == (tmp_path / "other.html").read_bytes()


def test_a_file_holds_as_much_as_finds_room_and_says_how_much_does_not(tmp_path: Path) -> None:
    with harbour(tmp_path / "a.mem") as memory:
        made = gathered(memory, None, 60_000, "a.mem")
        everything = gathered(memory, None, 16 << 20, "a.mem")
    assert 0 < made.frames < 39 == everything.frames
    assert made.frames + made.left_out == 39
    assert made.answers[key("memory", {})]["left_out"] == made.left_out
    assert made.answers[key("memory", {})]["asked"] == 3
    told = [one["held"] for name, one in made.answers.items() if name.startswith("replay ")]
    assert (sum(told), max(told)) == (made.frames, 13)
    assert len(json.dumps(made.answers)) < 80_000


def test_how_far_an_export_is_is_told(tmp_path: Path) -> None:
    told: list[tuple[float, float]] = []
    with harbour(tmp_path / "a.mem") as memory:
        made = export(memory, tmp_path / "run.html", most=1 << 20, tell=lambda done, total: told.append((done, total)))
    assert len(told) == made.frames
    assert sorted(told) == told
    assert 0 < told[0][0] < told[-1][0] <= told[-1][1] == 1 << 20


def test_answers_are_packed_into_less_than_half(tmp_path: Path) -> None:
    with harbour(tmp_path / "a.mem") as memory:
        answers = gathered(memory, None, 1 << 20, "a.mem").answers
    assert unpacked(packed(answers)) == json.loads(to_json(answers))
    assert 2 * len(packed(answers)) < len(to_json(answers))


def test_a_long_episode_is_held_from_its_first_step_on_as_far_as_there_is_room() -> None:
    with Memory.open(":memory:", encoder=None) as memory:
        memory.episode(id="long").log_many([{"text": f"step {number} of many"} for number in range(900)])
        made = gathered(memory, None, 300_000, "a.mem")
    assert 100 < made.frames < 900
    assert key("frame", {"namespace": [], "episode": "long", "number": made.frames - 1}) in made.answers


def test_an_episode_opens_at_the_frame_it_has_that_is_nearest_to_its_end() -> None:
    with Memory.open(":memory:", encoder=None) as memory:
        steps = memory.episode(id="long").log_many([{"text": f"step {number} of many"} for number in range(900)])
        for near, within in (((), range(50, 500)), ((steps[600].id,), range(600, 899))):
            answers = gathered(memory, None, 150_000, "a.mem", near).answers
            opens = answers[key("replay", {"namespace": [], "episode": "long"})]["opens"]
            whole = {"namespace": [], "episode": "long"}
            assert opens == max(number for number in range(900) if key("frame", whole | {"number": number}) in answers)
            assert opens in within


def test_what_was_recalled_from_another_namespace_is_exported_with_the_frame(tmp_path: Path) -> None:
    harbour(tmp_path / "a.mem", ("told",)).close()
    with Memory.open(tmp_path / "a.mem", encoder=None) as memory:
        reader = memory.scoped("reader", read=[["told"]])
        with reader.episode(id="run") as episode:
            hits = episode.recall("Where do you live? lives in", budget=400, layers=["unit", "atom"]).hits
            episode.act("wait")
        made = gathered(reader, None, 1 << 20, "a.mem")
    assert hits
    assert (made.frames, made.left_out) == (1, 0)


def test_one_episode_is_exported_alone(tmp_path: Path) -> None:
    with harbour(tmp_path / "a.mem") as memory:
        made = export(memory, tmp_path / "run.html", "day 2")
        assert (made.frames, made.episodes) == (13, 1)
        with pytest.raises(NotFoundError, match="day 9"):
            export(memory, tmp_path / "other.html", "day 9")
        export(memory, tmp_path / "third.html", "day 3")
    assert not (tmp_path / "other.html").exists()
    held = [str(unpacked(Tags((tmp_path / f"{name}.html").read_text()).scripts[0][1])) for name in ("run", "third")]
    assert ["Kyoto" in each for each in held] == [False, True]


def test_every_module_stands_after_those_it_imports() -> None:
    for place, name in enumerate(MODULES):
        imported = [line.split('"')[1][2:] for line in read(name).splitlines() if line.startswith("import ")]
        assert set(imported) <= set(MODULES[:place])


def test_the_command_writes_a_file_and_says_how_much_is_in_it(tmp_path: Path) -> None:
    harbour(tmp_path / "a.mem").close()
    command = ["view", str(tmp_path / "a.mem"), "--export", str(tmp_path / "run.html"), "--episode", "day 1"]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    assert "13 steps of 1 episode" in done.output
    assert CliRunner().invoke(app, ["view", str(tmp_path / "a.mem"), "--episode", "day 1"]).exit_code == 2
    assert CliRunner().invoke(app, ["view", str(tmp_path / "none.mem")]).exit_code == 1


def test_what_a_notebook_shows_of_a_closed_memory_says_so() -> None:
    memory = Memory.open(":memory:", encoder=None)
    memory.close()
    assert "closed" in memory._repr_html_()
    assert "<iframe" not in memory._repr_html_()


def test_a_notebook_shows_a_frame_that_may_run_its_script_and_nothing_else() -> None:
    with Memory.open(":memory:", encoder=None) as memory:
        with memory.episode(id="<b>", goal='"quoted"') as episode:
            episode.observe("The bridge is closed.")
        for shown in (memory._repr_html_(), episode._repr_html_(), memory.recall("bridge")._repr_html_()):
            assert Tags(shown).tags == ["p", "iframe"]
            assert 'sandbox="allow-scripts"' in shown


def test_steps_that_are_named_find_room_before_anything_around_them() -> None:
    with Memory.open(":memory:", encoder=None) as memory:
        first, *_ = memory.episode(id="first").log_many([{"text": f"word {n} " * 40} for n in range(60)])
        last = memory.episode(id="last").log_many([{"text": f"step {n} of many"} for n in range(500)])[440]
        for most in (60_000, 120_000):
            made = gathered(memory, None, most, "m", [first.id, last.id])
            assert made.opens == last.id
            assert made.episodes == (1 if most == 60_000 else 2)
            assert made.left_out == 560 - made.frames
        assert gathered(memory, None, 20_000, "m", [first.id, last.id]).opens is None
