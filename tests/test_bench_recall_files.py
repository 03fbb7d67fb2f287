"""What `agentmem bench recall` reads: the common format, LoCoMo's and LongMemEval's own files, told by content."""

import gzip
import json
from pathlib import Path

import pytest
from benched import history, locomo_sample, longmemeval_entry, write_histories

from agentmem import InvalidInputError, NotFoundError
from agentmem.bench.recall.histories import History, Question, Step, cut
from agentmem.bench.recall.reading import load


def only(path: Path) -> History:
    (found,) = load(path).histories
    return found


def test_the_common_format_gives_steps_and_labelled_questions(tmp_path: Path) -> None:
    told = history()
    told["questions"].append({**told["questions"][0], "id": "unlabelled", "evidence_step_ids": []})
    data = load(write_histories(tmp_path / "rooms.jsonl", told))
    assert (data.name, data.format) == ("rooms", "history")
    assert (len(data.histories[0].steps), len(data.histories[0].questions)) == (8, 8)
    assert data.histories[0].questions[3].evidence == (3,)


def test_a_gzipped_file_reads_as_the_plain_one(tmp_path: Path) -> None:
    plain = write_histories(tmp_path / "plain.jsonl", history())
    packed = tmp_path / "plain.jsonl.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    assert load(packed) == load(plain)


def test_questions_are_spread_over_the_whole_list(tmp_path: Path) -> None:
    told = only(write_histories(tmp_path / "a.jsonl", history()))
    assert [question.id for question in told.asked(3)] == ["q0", "q2", "q5"]
    assert len(told.asked()) == len(told.asked(99)) == 8


def test_a_split_takes_histories_by_index_and_then_the_first_of_them(tmp_path: Path) -> None:
    path = write_histories(tmp_path / "a.jsonl", *(history(str(n)) for n in range(5)))
    assert [one.id for one in load(path, "even").histories] == ["0", "2", "4"]
    assert [one.id for one in load(path, "odd").histories] == ["1", "3"]
    assert [one.id for one in load(path, "even", 2).histories] == ["0", "2"]


@pytest.mark.parametrize(
    ("asked_at", "upto"),
    [(None, 3), ("end", 3), ("step:b", 2), ("2026-01-02", 1), ("2025", 0), ("2026-01-03T00:00:00", 3)],
)
def test_a_question_may_use_the_steps_up_to_its_own_time(asked_at: str | None, upto: int) -> None:
    times = {"a": "2026-01-01T00:00:00", "b": None, "c": "2026-01-03T00:00:00"}
    assert cut([Step(id, "", "message", None, time, "") for id, time in times.items()], asked_at) == upto


def test_locomo_turns_are_in_session_order_with_captions_and_times(tmp_path: Path) -> None:
    path = tmp_path / "locomo10.json"
    path.write_text(json.dumps([locomo_sample()]))
    told = only(path)
    assert load(path).format == "LoCoMo"
    assert [step.id for step in told.steps] == ["D1:1", "D1:2", "D2:1"]
    bowl = "Look at this! [shares image: a photo of a blue bowl]"
    assert told.steps[1] == Step("D1:2", bowl, "message", "Bob", "2023-05-08T13:56:00", "S1")


def test_locomo_labels_name_one_turn_or_several_and_categories_have_names(tmp_path: Path) -> None:
    path = tmp_path / "any-name"
    path.write_text(json.dumps([locomo_sample()]))
    assert [(q.type, q.evidence, q.answer) for q in only(path).questions] == [
        ("temporal", (0,), "7 May 2023"),
        ("multi-hop", (0, 2), "pottery"),
        ("adversarial", (1,), "Not mentioned in the conversation"),
    ]


def test_longmemeval_sessions_are_in_order_of_time_and_later_ones_are_not_known(tmp_path: Path) -> None:
    path = tmp_path / "longmemeval_s.json"
    path.write_text(json.dumps([longmemeval_entry()]))
    told = only(path)
    assert load(path).format == "LongMemEval"
    assert [step.session for step in told.steps] == ["chat_7", "chat_7", "answer_ab_1", "answer_ab_1", "chat_9"]
    assert told.questions == [
        Question("q1", "What breed is my dog Rex?", "a border collie", "single-session-user", (2,), 4)
    ]
    assert told.answer_sessions == {"answer_ab_1"}


def test_longmemeval_leaves_out_abstention_and_sessions_the_user_does_not_answer(tmp_path: Path) -> None:
    entry = longmemeval_entry()
    entry["haystack_sessions"][0][0]["has_answer"] = False
    entry["haystack_sessions"][0][1]["has_answer"] = True
    path = tmp_path / "longmemeval_oracle.json"
    path.write_text(json.dumps([longmemeval_entry("q_abs"), entry]))
    told = only(path)
    assert (told.questions[0].evidence, told.answer_sessions) == ((3,), None)


def test_a_session_that_stands_twice_is_told_apart(tmp_path: Path) -> None:
    entry = longmemeval_entry()
    entry["haystack_session_ids"][2] = "chat_7"
    path = tmp_path / "a.json"
    path.write_text(json.dumps([entry]))
    assert only(path).steps[-1].session == "chat_7#2"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[{"a": 1}]', "array of something else"),
        ("[1, 2", "begins like a JSON array"),
        ("no JSON\n", "line 1, is no history"),
        ('{"id": "a", "steps": []}\n', "has no 'questions'"),
        ('{"id": "a", "steps": [{"id": "1", "session": null}], "questions": []}\n', "has no 'text'"),
        ("[]", "array of something else"),
    ],
)
def test_what_is_none_of_the_three_is_refused_by_name(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "odd.json"
    path.write_text(text)
    with pytest.raises(InvalidInputError, match=said) as caught:
        load(path)
    assert str(path) in str(caught.value)


def test_files_that_cannot_be_read_say_so(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="there is no file"):
        load(tmp_path / "none")
    (tmp_path / "a.gz").write_bytes(gzip.compress(b"{}" * 999)[:-9])
    with pytest.raises(InvalidInputError, match="cannot be read"):
        load(tmp_path / "a.gz")
    (tmp_path / "b").write_bytes(b"\xff\xfe{}")
    with pytest.raises(InvalidInputError, match="no UTF-8"):
        load(tmp_path / "b")


def test_a_question_at_a_step_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="step:s99"):
        load(write_histories(tmp_path / "a.jsonl", history(asked_at="step:s99")))
