"""Episodes that are logged over HTTP: one request of an episode at a time, and not too many of them kept."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from agentmem import Memory
from agentmem.memory import EpisodeWriter
from agentmem.server.models import StepsToLog
from agentmem.server.operations import Place, end, log
from agentmem.server.writers import KEPT, Writers


def test_an_end_waits_for_what_is_being_logged(memory: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    at = Place(memory, Writers())
    ending = threading.Thread(target=lambda: end(at, None, "run"))
    log_many = EpisodeWriter.log_many

    def slowly(self: EpisodeWriter, steps: Any) -> Any:
        ending.start()
        ending.join(0.5)
        return log_many(self, steps)

    log(at, StepsToLog.model_validate({"steps": [{"text": "first"}]}), "run")
    monkeypatch.setattr(EpisodeWriter, "log_many", slowly)
    log(at, StepsToLog.model_validate({"steps": [{"text": "second"}]}), "run")
    ending.join()
    (episode,) = memory.episodes()
    assert episode.ended is not None
    assert all(step.position < episode.ended for step in memory.steps("run"))


def test_two_requests_that_begin_an_episode_at_once_have_the_same_writer(memory: Memory) -> None:
    writers, version = Writers(), memory._core.store.version(())
    assert writers._begin(memory, "run", version.generation) is writers._begin(memory, "run", version.generation)


def test_the_writers_used_last_are_kept_and_no_more(memory: Memory) -> None:
    writers = Writers()
    for number in range(KEPT + 3):
        with writers.writer(memory, f"run {number}") as writer:
            writer.observe("The door is locked.")
    assert [id for _, id in writers._open] == [f"run {number}" for number in range(3, KEPT + 3)]
    assert KEPT <= 64
