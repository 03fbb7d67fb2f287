"""What is found, why, and the same bytes everywhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from recalls import doors, texts
from strategies import CUES, all_crystals, long_log, opened, played

from agentmem import EncoderError, InvalidInputError, Layer, Memory, NotFoundError
from agentmem.index import step_id
from agentmem.memory.recalling import query_of, run
from agentmem.recall import Weights, recall
from agentmem.recall.render import fold
from agentmem.testing import HashEncoder
from agentmem.types import Record

# ---- what is found -----------------------------------------------------------------------------------------------


def test_nothing_that_matches_is_an_empty_context(long: Memory, memory: Memory) -> None:
    for cue in ("xyzzyplugh", "☃"):
        for options in ({}, {"layers": ["unit"]}, {"layers": ["unit", "cluster", "atom"]}, {"agent": "agent a"}):
            context = long.recall(cue, **options)  # type: ignore[arg-type]
            assert (context.text, context.hits) == ("", ()), (cue, options)
    assert memory.recall("red door").text == ""
    doors(memory, ("ada",))
    memory.episode(id="elsewhere").log("Rain over the hills.")
    assert memory.recall("red door", episode="elsewhere").hits == ()
    assert memory.recall("rain", episode="run of ada").hits == ()


def test_a_word_in_another_form_is_found(memory: Memory) -> None:
    doors(memory)
    memory.episode().log("She opened both DOORS, très étrange, and the café's façade; see src/main_loop.py for fooBar.")
    for cue in ("opening", "etrange", "cafe", "facade", "main loop", "foo bar", "MAIN_LOOP", "foobar"):
        assert "DOORS" in memory.recall(cue, 300).text, cue


def test_filters_let_only_their_own_through(memory: Memory) -> None:
    doors(memory, ("ada", "bo", "cy"))
    assert all("bo sees" in text for text in texts(memory.recall("red door", episode="run of bo")))
    assert len(memory.recall("red door", episode="run of bo").hits) == 3
    assert all("cy sees" in text for text in texts(memory.recall("red door", agent="cy")))
    assert memory.recall("red door", agent="cy", episode="run of bo").hits == ()
    for unknown in ({"agent": "nobody"}, {"episode": "run of boo"}):
        with pytest.raises(NotFoundError, match="nobody|did you mean 'run of bo'"):
            memory.recall("red door", **unknown)  # type: ignore[arg-type]
    memory.crystallize()
    for hit in memory.recall("red door", layers=["unit"], agent="cy").hits:
        assert "cy" in hit.text or hit.sources[0] in {step.id for step in memory.steps("run of cy")}


@pytest.mark.parametrize("layer", list(Layer))
def test_a_layer_is_recalled_as_its_own_text_and_never_expanded(long: Memory, layer: Layer) -> None:
    by_id = {crystal.id: crystal for crystal in long.crystals()}
    context = long.recall("red door open score", 400, layers=[layer])
    assert context.hits
    for hit in context.hits:
        assert hit.layer is layer
        assert hit.text == by_id[hit.id].text
        assert hit.span is None
        assert hit.sources == by_id[hit.id].sources
        assert hit.section == ("facts" if layer is Layer.ATOM else "past")
        assert fold(by_id[hit.id].text) in context.text
    assert long.recall("red door open score", 400, layers=layer.value).text == context.text  # type: ignore[arg-type]


def test_a_retired_atom_is_recalled_as_of_then(long: Memory) -> None:
    (*_, old) = [c for c in all_crystals(long) if c.layer is Layer.ATOM and c.retired is not None and c.key]
    cue = f"{old.key} {old.text}"
    assert old.retired is not None
    then = long.recall(cue, 4000, layers=["atom"], as_of=step_id(old.retired - 1))
    assert old.id in [hit.id for hit in then.hits]
    now = long.recall(cue, 4000, layers=["atom"])
    assert old.id not in [hit.id for hit in now.hits]


def test_as_of_takes_a_step_or_a_time_of_logging(memory: Memory) -> None:
    with memory.episode() as episode:
        steps = episode.log_many([f"The red door {n} is open." for n in range(5)])
    for as_of in (
        steps[2].id,
        steps[2].logged_at,
        steps[2].logged_at + timedelta(milliseconds=500),
        steps[2].logged_at.astimezone(),
        steps[2].logged_at.replace(tzinfo=None),
        steps[2].logged_at.isoformat(),
    ):
        context = memory.recall("red door", as_of=as_of)
        assert len(context.hits) == 3
        assert context.ages.tolist()[-1] == 0
    assert memory.recall("red door", as_of=datetime(1999, 1, 1, tzinfo=UTC)).text == ""
    assert len(memory.recall("red door", as_of=datetime(2999, 1, 1)).hits) == 5
    for bad, error in (
        ("s99999999999", NotFoundError),
        ("s00000000000", NotFoundError),
        ("last week", InvalidInputError),
        (5, InvalidInputError),
        ("s" + "²" * 11, InvalidInputError),
    ):
        with pytest.raises(error, match=re.escape(str(bad)) if bad != 5 else "int"):
            memory.recall("red door", as_of=bad)  # type: ignore[arg-type]


@pytest.mark.parametrize("layers", [["page"], [7], "sentence", [None]])
def test_an_unknown_layer_is_refused(long: Memory, layers: Any) -> None:
    with pytest.raises(InvalidInputError, match="unit, cluster, atom"):
        long.recall("red door", layers=layers)


def test_a_cue_is_text(long: Memory) -> None:
    for cue in (None, 7, ["red"], b"red"):
        with pytest.raises(InvalidInputError, match="cue must be str"):
            long.recall(cue)  # type: ignore[arg-type]
    for cue in ("\x00", '"', "a OR b NOT *", "'; DROP TABLE log; --", "\ud800 red door", "red " * 5000, "🎉"):
        assert long.recall(cue, 100).tokens <= 100


# ---- reasons, vectors, ages --------------------------------------------------------------------------------------


def test_reasons_add_up_to_the_score(long: Memory) -> None:
    for layers in (None, ["unit", "cluster", "atom"]):
        for hit in long.recall("Is the red door open, score?", 500, layers=layers).hits:
            assert sum(hit.reasons.values()) == pytest.approx(hit.score, abs=2e-3)
            assert set(hit.reasons) <= set(Weights.__dataclass_fields__)
            assert hit.tokens > 0


def test_vectors_are_what_the_encoder_makes_of_each_hit(long: Memory) -> None:
    context = long.recall("red door score", 300)
    assert context.vectors.shape == (len(context.hits), 256)
    assert context.vectors.dtype == np.float32
    np.testing.assert_array_equal(context.vectors, HashEncoder(256).encode([hit.text for hit in context.hits]))
    assert context.ages.dtype == np.int64
    assert context.ages.tolist() == [hit.age for hit in context.hits]
    assert context.vectors is context.vectors


def test_a_meaning_is_found_without_a_shared_word_and_only_with_an_encoder(tmp_path: Path) -> None:
    class Synonyms:
        """Knows that cars and automobiles are the same."""

        dimension = 8

        def encode(self, sentences: list[str]) -> np.ndarray:
            wanted = [
                ("car", "automobile"),
                ("rain", "hills"),
                ("door", "red"),
                ("sea",),
                ("ship",),
                ("a",),
                ("z",),
                ("q",),
            ]
            return np.array([[float(any(w in s for w in own)) + 0.01 for own in wanted] for s in sentences], np.float32)

    lines = ["My automobile is blue.", *(f"rain number {n} over the hills" for n in range(20))]
    for encoder, found in ((Synonyms(), True), (None, False)):
        with opened(tmp_path / f"{found}.mem", encoder=encoder) as memory:
            memory.episode().log_many(lines)
            assert ("automobile" in memory.recall("the car", 30).text) is found
            assert memory.recall("the car", 30).vectors.shape[1] == (8 if found else 0)


class Embeddings:
    """LangChain's interface."""

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [[float(len(text)), float("door" in text), 1.0] for text in texts]

    def embed_query(self, text: str) -> list[float]:
        return self.embed_documents([text])[0]


class Lists:
    def encode(self, sentences: list[str]) -> list[list[float]]:
        return [[float("door" in text), float("rain" in text)] for text in sentences]


@pytest.mark.parametrize(
    ("encoder", "dimension"), [(Embeddings(), 3), (Lists(), 2), (HashEncoder(7), 7)], ids=lambda v: type(v).__name__
)
def test_any_object_that_encodes_will_do(encoder: Any, dimension: int) -> None:
    with opened(encoder=encoder) as memory:
        doors(memory)
        assert memory.stats().encoder is not None
        context = memory.recall("red door")
        assert len(context.hits) == 6
        assert context.vectors.shape == (6, dimension)


class Wrong:
    def __init__(self, answer: Any) -> None:
        self.answer, self.id = answer, f"wrong-{answer!r}"

    def encode(self, sentences: list[str]) -> Any:
        return self.answer


@pytest.mark.parametrize(
    "answer", [None, [], [[float("nan")]], [["a"]], np.zeros((3, 2, 1)), np.zeros((99, 4))], ids=lambda a: repr(a)[:20]
)
def test_an_encoder_that_gives_something_else_fails_loudly(answer: Any) -> None:
    with opened(encoder=Wrong(answer)) as memory:
        memory.episode().log("The red door is open.")
        with pytest.raises(EncoderError, match="Wrong"):
            memory.recall("red door")


# ---- the same bytes everywhere -----------------------------------------------------------------------------------

PROGRAM = """
import hashlib, sys
sys.path.insert(0, sys.argv[1])
from strategies import CUES, all_crystals, long_log, played
from agentmem.testing import HashEncoder
with played(long_log(16), encoder=HashEncoder(32)) as memory:
    memory.crystallize()
    episode = memory.episode(goal="open the red door")
    parts = [repr(all_crystals(memory))]
    for cue in CUES:
        for layers in (None, ["unit", "cluster", "atom"]):
            context = episode.recall(cue, 300, layers=layers)
            parts += [context.text, repr(context), context.vectors.tobytes().hex()]
    parts.append(repr(list(memory._core.store.scan())))
    print(hashlib.sha256("|".join(parts).encode()).hexdigest())
"""


def test_processes_with_other_hash_seeds_make_and_recall_the_same_bytes() -> None:
    here = Path(__file__).parent
    running = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(here)],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(here.parent)},
            stdout=subprocess.PIPE,
        )
        for seed in ("0", "4242")
    ]
    answers = [process.communicate()[0] for process in running]
    assert len(answers[0]) == 65
    assert len(set(answers)) == 1


def test_a_reopened_memory_recalls_the_same_bytes(tmp_path: Path) -> None:
    def asked(memory: Memory) -> list[str]:
        return [repr(memory.recall(cue, 300, layers=layers)) for cue in CUES for layers in (None, ["unit"])]

    file = tmp_path / "agent.mem"
    with played(long_log(12), file, encoder=HashEncoder(32)) as memory:
        memory.crystallize()
        before = asked(memory)
        memory._core.store.archive(memory.head().position - 20)
        assert asked(memory) == before
    with opened(file, encoder=HashEncoder(32)) as memory:
        assert asked(memory) == before


def test_the_order_of_asking_changes_nothing(long: Memory) -> None:
    asked = [(cue, as_of) for cue in CUES[:4] for as_of in (None, step_id(100), step_id(200), step_id(60))]
    forwards = [long.recall(cue, 200, as_of=as_of).text for cue, as_of in asked]
    backwards = [long.recall(cue, 200, as_of=as_of).text for cue, as_of in reversed(asked)]
    assert forwards == backwards[::-1]


def test_the_store_version_names_what_an_answer_is_a_function_of(memory: Memory) -> None:
    episode = memory.episode()
    versions = []
    for work in (
        lambda: episode.log("The red door is open."),
        lambda: episode.log("The red door is shut."),
        lambda: episode.end(),
        lambda: memory.crystallize(),
        lambda: memory.erase(steps=step_id(2)),
    ):
        work()
        versions.append(memory.recall("red door").store_version)
        assert memory.recall("red door").store_version == versions[-1] == memory.stats().store_version
    assert len(set(versions)) == len(versions)


def test_a_step_without_text_does_not_have_every_other_step_read() -> None:
    """It cost no tokens, and so seemed to say that a step of any length might still fit."""
    with opened(encoder=None) as memory:
        episode = memory.episode()
        memory.pin(episode.log("").id)
        episode.log_many(
            [f"{('storm', 'calm')[n % 2]} of day {n} " + "took the mast and the sails " * 9 for n in range(600)]
        )
        core, read = memory._core, []
        with core.lock:
            view = core.view([()], core.index(()).head)
            match = core.match("storm day", [()], view)

        def reading(positions: Sequence[int]) -> list[Record]:
            read.extend(positions)
            return core.read(positions)

        query = query_of("storm day", 300, None, None, None, None, False)
        assert recall(query, view, match, None, reading)
        assert len(read) < 100


def test_steps_that_who_asks_has_before_him_are_left_out() -> None:
    with Memory.open(":memory:", encoder=None) as memory, memory.episode() as episode:
        first, second = episode.log_many(["The red key opens door 3.", "The red key is in the shed."])
        query = query_of("Where is the red key?", 100, None, None, None, None, marks=False)
        for without, found in ((set(), [first, second]), ({second.position}, [first])):
            context = run(memory._core, [()], replace(query, without=frozenset(without)), None)
            assert [hit.id for hit in context.hits] == [step.id for step in found]
        everything = replace(query, without=frozenset((first.position, second.position)))
        assert run(memory._core, [()], everything, None).text == ""
