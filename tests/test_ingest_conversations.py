"""Ingest of conversations: OpenAI's and LangChain's messages, with calls and what they answer."""

import importlib
import json
from pathlib import Path
from typing import Any

import pytest
from ingested import DATA, Said, copied, empty, lines, said

from agentmem import InvalidInputError, Memory
from agentmem.ingest import ingest

STOCK, PRICE = 'stock({"colour": "cobalt"})', 'price({"colour": "cobalt"})'
PAINT = [
    Said("message", "system", "You sell paint."),
    Said("message", "user", "Is this blue in stock?\n[image_url: https://example.org/blue.png]"),
    Said("action", "assistant", STOCK),
    Said("action", "assistant", PRICE),
    Said("observation", "tool", "17.50 per can", PRICE),
    Said("observation", "tool", '{"cans": 4}', STOCK),
    Said("message", "assistant", "Yes: 4 cans of cobalt, 17.50 each."),
]
FERN, PALM = 'moisture({"plant": "fern"})', 'moisture({"plant": "palm"})'
FAILED = {"tool": "moisture", "call": "c2", "status": "error"}
GREENHOUSE = [
    Said("message", "system", "You run the greenhouse."),
    Said("message", "user", "Is the fern dry?"),
    Said("message", "assistant", "I'll measure it."),
    Said("action", "assistant", FERN),
    Said("action", "assistant", PALM),
    Said("observation", "tool", "fern: 12 percent", FERN),
    Said("observation", "tool", "sensor offline", PALM),
    Said("message", "assistant", "The fern is dry, at 12 percent."),
]
ASKED = {"role": "user", "content": "Do you have red paint?"}
ANSWERED = {"role": "assistant", "content": "Four cans of red."}


@pytest.fixture
def memory() -> Memory:
    return empty()


# ---- OpenAI ------------------------------------------------------------------------------------------------------


def test_messages_become_steps_and_results_reply_to_their_calls(memory: Memory) -> None:
    report = ingest(memory, DATA / "openai.json")
    assert (report.format, report.files, report.steps, report.episodes) == ("openai", 1, 7, 1)
    assert said(memory) == PAINT
    (episode,) = memory.episodes()
    assert (episode.id, episode.goal) == ("openai.json", "Is this blue in stock?")
    assert episode.ended is not None


def test_calls_and_parts_that_are_no_text_are_kept_as_data(memory: Memory) -> None:
    ingest(memory, DATA / "openai.json")
    _, asked, call, *_ = memory.steps()
    assert asked.data == {"parts": [{"type": "image_url", "image_url": {"url": "https://example.org/blue.png"}}]}
    assert call.data == {"tool": "stock", "call": "call_1", "arguments": {"colour": "cobalt"}}


def test_each_line_of_a_fine_tuning_file_is_a_conversation(memory: Memory) -> None:
    report = ingest(memory, DATA / "openai.jsonl")
    assert [episode.id for episode in memory.episodes()] == ["openai.jsonl/1", "openai.jsonl/2"]
    assert (report.lines, report.steps) == (2, 11)
    assert said(memory, "openai.jsonl/1") == PAINT
    assert said(memory, "openai.jsonl/2")[2] == Said("observation", "tool", "Bergen, Oslo", "zones({})")
    assert "Thursdays" in memory.recall("delivery to Oslo").text


def test_items_of_the_responses_api_are_read_and_reasoning_is_not(memory: Memory) -> None:
    ingest(memory, DATA / "responses.json")
    assert said(memory, "resp_67cb") == [
        Said("message", "user", "When does the museum close?"),
        Said("action", "assistant", 'web_search({"type": "search", "query": "museum opening hours"})'),
        Said("action", "assistant", 'hours({"place": "museum"})'),
        Said("observation", "tool", "10-18", 'hours({"place": "museum"})'),
        Said("message", "assistant", "It closes at 18:00."),
    ]


def test_a_file_with_a_message_a_line_is_one_conversation(memory: Memory, tmp_path: Path) -> None:
    timed = ASKED | {"timestamp": 1772442000}
    ingest(memory, lines(tmp_path / "chat.jsonl", timed, ANSWERED))
    first, second = memory.steps("chat.jsonl")
    assert (first.text, second.text) == ("Do you have red paint?", "Four cans of red.")
    assert first.at is not None
    assert first.at.isoformat() == "2026-03-02T09:00:00+00:00"


def test_several_conversations_in_one_list_are_told_apart(memory: Memory, tmp_path: Path) -> None:
    path = tmp_path / "chats.json"
    path.write_text(json.dumps([{"messages": [ASKED]}, {"id": "second", "title": "Stock", "messages": [ANSWERED]}]))
    ingest(memory, path)
    assert [(one.id, one.goal) for one in memory.episodes()] == [
        ("chats.json/1", "Do you have red paint?"),
        ("second", "Stock"),
    ]


def test_blocks_of_anthropic_messages_are_calls_and_results(memory: Memory, tmp_path: Path) -> None:
    called = {"type": "tool_use", "id": "t1", "name": "stock", "input": {"colour": "red"}}
    answered = {"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "text", "text": "4 cans"}]}
    talk = [ASKED, {"role": "assistant", "content": [called]}, {"role": "user", "content": [answered]}]
    ingest(memory, lines(tmp_path / "chat.jsonl", {"messages": talk}))
    assert said(memory)[2] == Said("observation", "tool", "4 cans", 'stock({"colour": "red"})')


def test_an_answer_to_a_request_is_the_end_of_its_conversation(memory: Memory, tmp_path: Path) -> None:
    ingest(memory, lines(tmp_path / "log.jsonl", {"messages": [ASKED], "choices": [{"message": ANSWERED}]}))
    assert [one.text for one in said(memory)] == ["Do you have red paint?", "Four cans of red."]


def test_a_conversation_that_grew_adds_what_is_new(memory: Memory, tmp_path: Path) -> None:
    path = tmp_path / "chat.json"
    for talk in ([ASKED], [ASKED, ANSWERED]):
        path.write_text(json.dumps(talk))
        report = ingest(memory, path)
        assert (report.steps, report.known) == (1, len(talk) - 1)
    again = ingest(memory, path)
    assert (again.steps, again.known) == (0, 2)
    assert [episode.ended is not None for episode in memory.episodes()] == [True]


def test_a_message_that_changed_is_an_error_and_not_lost(memory: Memory, tmp_path: Path) -> None:
    ingest(memory, lines(tmp_path / "chat.jsonl", ASKED, ANSWERED))
    lines(tmp_path / "chat.jsonl", ASKED, ANSWERED | {"content": "None at all."})
    with pytest.raises(InvalidInputError, match="line 2: key 'chat.jsonl/2' .* was logged with other content"):
        ingest(memory, tmp_path / "chat.jsonl")


@pytest.mark.parametrize(
    ("message", "problem"),
    [
        ({"content": "x"}, "has no role"),
        ({"role": "narrator", "content": "x"}, "has the role 'narrator'; it is one of system, developer"),
        ("x", "is 'x'; give an object"),
        ({"role": "assistant", "content": "", "tool_calls": [{"id": "c"}]}, "has the call tool_calls[0] {'id': 'c'}"),
    ],
)
def test_a_bad_message_is_named_with_its_place_and_nothing_is_logged(
    memory: Memory, tmp_path: Path, message: Any, problem: str
) -> None:
    path = lines(tmp_path / "chat.jsonl", {"messages": [ASKED]}, {"messages": [ASKED, message]})
    with pytest.raises(InvalidInputError) as raised:
        ingest(memory, path)
    assert f"{path}, line 2: messages[1] {problem}" in str(raised.value)
    assert memory.head().position == 0
    report = ingest(memory, path, skip_bad=True)
    assert (report.steps, [bad.number for bad in report.bad]) == (2, [2])


def test_a_result_without_its_call_is_logged_alone(memory: Memory, tmp_path: Path) -> None:
    ingest(memory, lines(tmp_path / "chat.jsonl", {"role": "tool", "tool_call_id": "gone", "content": "4 cans"}))
    assert said(memory) == [Said("observation", "tool", "4 cans")]


# ---- ChatGPT -----------------------------------------------------------------------------------------------------


def test_an_export_of_chatgpt_is_read_along_the_branch_where_it_stands(memory: Memory) -> None:
    report = ingest(memory, DATA / "conversations.json")
    assert (report.format, report.steps) == ("chatgpt", 4)
    assert said(memory, "6a1f") == [
        Said("message", "user", "[image_asset_pointer]\nHow many cans are in the picture?"),
        Said("action", "assistant", "python(count(cans))"),
        Said("observation", "tool", "12", "python(count(cans))"),
        Said("message", "assistant", "There are 12 cans."),
    ]
    assert [episode.goal for episode in memory.episodes()] == ["Cans in a picture"]
    first, *_ = memory.steps()
    assert (first.key, first.at and first.at.isoformat()) == ("6a1f/m1", "2026-03-02T09:00:00.500000+00:00")
    assert ingest(memory, DATA / "conversations.json").steps == 0


# ---- LangChain ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["langchain.json", "langchain_dumps.json"])
def test_both_of_langchains_dumps_are_read(memory: Memory, name: str) -> None:
    report = ingest(memory, DATA / name)
    assert (report.format, report.steps) == ("langchain", 8)
    assert said(memory, name) == GREENHOUSE
    assert [step.data for step in memory.steps() if step.text == "sensor offline"] == [FAILED]
    assert "12 percent" in memory.recall("how dry is the fern?").text
    assert ingest(memory, DATA / name).steps == 0


def test_the_fixtures_are_what_langchain_writes_today(memory: Memory, tmp_path: Path) -> None:
    core = importlib.import_module("langchain_core.messages")
    load = importlib.import_module("langchain_core.load")
    messages = core.messages_from_dict(json.loads((DATA / "langchain.json").read_text()))
    (tmp_path / "a.json").write_text(load.dumps(messages))
    (tmp_path / "b.json").write_text(json.dumps([message.model_dump() for message in messages]))
    lines(tmp_path / "c.jsonl", *core.messages_to_dict(messages))
    for name in ("a.json", "b.json", "c.jsonl"):
        assert ingest(memory, tmp_path / name).format == "langchain"
        assert said(memory, name) == GREENHOUSE


def test_a_line_of_langchain_that_is_no_message_is_bad(memory: Memory, tmp_path: Path) -> None:
    path = copied("langchain.json", tmp_path)
    path.write_text(json.dumps([*json.loads(path.read_text()), {"type": "human"}]))
    with pytest.raises(InvalidInputError, match=r"langchain.json: messages\[6\] is \{'type': 'human'\}; a message has"):
        ingest(memory, path)
