"""The conversations of an MCP server, how long they last and what they can explain; and crystallizing beside them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import pytest
from strategies import opened

from agentmem import Memory
from agentmem.errors import FullError, KeyConflictError, NotFoundError
from agentmem.mcp.crystallizing import STEPS, Crystallizing
from agentmem.mcp.scope import Scope
from agentmem.mcp.sessions import IDLE_S, MOST, RECALLS, Session, Sessions
from agentmem.testing import FakeClock


def test_conversations_end_when_they_are_silent_or_too_many_and_begin_anew(memory: Memory) -> None:
    clock, ended = FakeClock(0.0, tick=0.0), list[int]()
    sessions = Sessions(Scope(memory), ended=lambda: ended.append(1), clock=clock)
    first = sessions.of("a")
    first.log("One.", "message")
    clock.advance(IDLE_S - 1)
    assert sessions.of("a") is first
    clock.advance(IDLE_S + 1)
    assert sessions.of("b") is not first
    assert sessions.of("a") is not first
    assert len(ended) == 1
    assert first.log("Still here.", "message")[0].episode == "episode-2"
    for n in range(MOST + 5):
        sessions.of(str(n)).log(f"{n} says hello.", "message")
    sessions.end()
    assert all(episode.ended for episode in memory.episodes() if episode.id != "episode-2")
    assert len(ended) == 1 + MOST + 5


def test_as_many_sessions_as_the_protocol_allows_keep_their_episodes_however_long_they_are_silent(
    memory: Memory,
) -> None:
    clock = FakeClock(0.0, tick=0.0)
    sessions = Sessions(Scope(memory), ended=lambda: None, clock=clock)
    for _ in range(2):
        for n in (0, *range(200, 255)):
            sessions.of(f"session {n}").log(f"{n} says hello.", "message")
        for n in range(1, 200):
            sessions.of(f"session {n}")
        clock.advance(IDLE_S + 1)
    assert len(memory.episodes()) == 56
    assert not any(episode.ended for episode in memory.episodes())


def test_a_key_that_another_server_logged_first_is_found_and_an_erased_one_stays_erased(file: Path) -> None:
    with opened(file) as one, opened(file) as other:
        first, second = (Session(Scope(memory)) for memory in (one, other))
        step, new = first.log("One.", "message", "assistant", key="k")
        assert (new, second.log("One.", "message", "assistant", key="k")) == (True, (step, False))
        with pytest.raises(KeyConflictError, match="says something else"):
            second.log("Two.", "message", "assistant", key="k")
        one.erase(steps=[step.id])
        with pytest.raises(KeyConflictError, match="erased"):
            second.log("One.", "message", "assistant", key="k")


def test_agents_whose_names_begin_alike_share_no_keys(memory: Memory) -> None:
    tried = [("a", "b/c"), ("a/b", "c"), ("a%2Fb", "c"), (None, "a/c"), ("a", "c")]
    for number, (agent, key) in enumerate(tried):
        assert Session(Scope(memory, agent)).log(f"{number}", "message", key=key)[1]
    assert len(list(memory.steps())) == len(tried)


def test_only_the_newest_recalls_can_be_explained(long: Memory) -> None:
    sessions = Sessions(Scope(long), ended=lambda: None)
    context = sessions.of("").recall("Oslo harbour", 500)
    assert context.hits
    for n in range(RECALLS + 1):
        sessions.keep(str(n), context)
    assert sessions.hits("1") == context.hits
    with pytest.raises(NotFoundError, match="recall again"):
        sessions.hits("0")


@pytest.mark.parametrize("failure", [FullError("the disk is full"), RuntimeError("a bug")])
def test_crystallizing_goes_on_after_so_many_steps_and_after_a_failure(
    failure: Exception, memory: Memory, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    runs: list[int] = []

    def crystallize(progress: Any) -> None:
        runs.append(memory.head().position)
        if len(runs) == 1:
            raise failure

    monkeypatch.setattr(memory, "crystallize", crystallize)
    crystallizing = Crystallizing(memory)
    crystallizing.begin()
    wait_for(lambda: len(runs) == 1)
    for _ in range(STEPS):
        crystallizing.logged()
    wait_for(lambda: len(runs) == 2)
    crystallizing.end()
    assert len(runs) == 3
    assert str(failure) in caplog.text


def test_a_last_run_that_takes_too_long_is_stopped_and_the_next_goes_on_with_it(memory: Memory) -> None:
    episode = memory.episode()
    episode.log_many(f"Raven {n} flies over the harbour of {n % 7} boats." for n in range(2_500))
    episode.end()
    crystallizing = Crystallizing(memory, clock=FakeClock(0.0, tick=10.0))
    crystallizing.begin()
    crystallizing.end()
    stopped = memory.stats().watermark
    memory.crystallize()
    assert stopped < memory.stats().watermark == memory.head().position


def wait_for(holds: Any) -> None:
    with anyio.from_thread.start_blocking_portal() as portal:

        async def wait() -> None:
            with anyio.fail_after(20):
                while not holds():
                    await anyio.sleep(0.01)

        portal.call(wait)
