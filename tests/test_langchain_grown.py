"""What is kept of a conversation while it grows is what would be made of it from the start."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, ToolMessage

from agentmem.langchain.counting import Counter
from agentmem.langchain.fitting import Fitted, Fitting
from agentmem.langchain.grouped import Groups
from agentmem.langchain.messages import groups_of
from agentmem.remembered import forget
from agentmem.testing import ScriptedChatModel

IDS, SAYS = (
    st.sampled_from("abc"),
    st.text("xyz ", max_size=40) | st.integers(100, 900).map(lambda size: "xy z " * (size // 5)),
)
MESSAGES = st.lists(
    st.builds(HumanMessage, SAYS)
    | st.lists(IDS, max_size=2).map(lambda ids: AIMessage("x", tool_calls=[_call(id) for id in ids]))
    | st.builds(lambda id, text: ToolMessage(text, tool_call_id=id), IDS, SAYS),
    max_size=16,
)


def _call(id: str) -> dict[str, object]:
    return {"name": "look", "args": {}, "id": id}


def _counter() -> Counter:
    return Counter(ScriptedChatModel(script=[]), lambda messages: sum(len(each.text) + 1 for each in messages))


def _named(messages: list[BaseMessage]) -> list[BaseMessage]:
    return [message.model_copy(update={"id": f"m{place}"}) for place, message in enumerate(messages)]


@given(MESSAGES, st.integers(0, 15))
def test_groups_that_grow_are_those_of_all_messages_also_after_an_edit(drawn: list[BaseMessage], edited: int) -> None:
    messages, kept = _named(drawn), Groups()
    for end in range(len(messages) + 1):
        assert kept.of(messages[:end])[0] == groups_of(messages[:end])
    messages[edited : edited + 1] = [HumanMessage("something else", id="edit")]
    assert kept.of(messages)[0] == groups_of(messages)


@given(MESSAGES, st.integers(100, 2_000))
def test_what_is_shown_of_a_conversation_that_grows_is_what_is_shown_of_it_at_once(
    drawn: list[BaseMessage], window: int
) -> None:
    messages, counter, kept, logged = _named(drawn), _counter(), Fitted(), set[str]()

    def fitting(fitted: Fitted) -> Fitting:
        return Fitting(
            counter, window, window // 8, lambda each: each.id if each.id in logged else None, {}, "", fitted
        )

    for end in range(len(messages) + 1):
        logged.update(str(message.id) for message in messages[: end - 3])  # some are logged later than they are shown
        assert _told(fitting(kept).fit(messages[:end])) == _told(fitting(Fitted()).fit(messages[:end]))


def test_a_large_result_is_shown_by_its_beginning_once_it_is_logged() -> None:
    call = AIMessage("x", tool_calls=[_call("a")])
    messages = _named([call, ToolMessage("xyz " * 120, tool_call_id="a"), HumanMessage("and now?")])
    logged = set[str | None]()
    fitting = Fitting(_counter(), 1_000, 200, lambda each: "s1" if each.id in logged else None, {})
    assert _told(fitting.fit(messages))[1] == ("m1", messages[1].text)
    logged.add("m1")
    assert len(_told(fitting.fit(messages))[1][1]) <= 200


def _told(shown: list) -> list[tuple[str | None, str]]:  # type: ignore[type-arg]
    return [(each.as_.id, each.as_.text) for each in shown]


def test_a_counter_forgets_texts_when_something_is_erased() -> None:
    counter = _counter()
    assert counter.text("a secret") == counter.text("a secret") == len("a secret")
    assert counter._texts
    forget()
    assert not counter._texts
