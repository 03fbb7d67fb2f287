"""Erased subjects are readable in no copy of an encrypted memory, whatever was killed or ran beside."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import resource
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from keyed import CANARY, about, data_keys, opened, stored

from agentmem import Memory
from agentmem.errors import (
    ErasedError,
    KeyConflictError,
    NotFoundError,
    ReadOnlyError,
    StoreError,
)
from agentmem.store import SQLiteStore, open_store
from agentmem.store.keyfile import KeyFile
from agentmem.testing.records import A, step

forks = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    (tmp_path / "apart").mkdir()
    return tmp_path / "apart" / "a.key"


def story(memory: Memory) -> None:
    """Episodes in which two speak of Ann, one of them with Bob, and an agent recalls it."""
    for number in range(4):
        with memory.episode(id=f"e{number}", goal=f"goal {number}") as episode:
            for n in range(12):
                thing = ("apples", "pears", "nuts")[n % 3]
                episode.observe(f"Box {100 * number + n} holds {thing} and weighs {n * 7 % 13} kg.")
            episode.say("bob", f"Bob likes the red lamp in room {number}.", subjects=["bob"])
            if number % 2:
                episode.say("ann", f"{CANARY} is the code of door {number}.", subjects=["ann"], data={"n": CANARY})
                episode.observe(f"Both know {CANARY}.", subjects=["bob", "ann"], blobs={"b": CANARY.encode() * 9})
                episode.recall(f"what is {CANARY}?")
            episode.recall(f"which code opens door {number}?")


def answers(memory: Memory) -> list[str]:
    return [memory.recall(cue, budget=200).text for cue in ("who holds nuts?", "what does Bob like?", "box 205")]


@pytest.mark.parametrize("retain", ["keep", "crystals"])
def test_what_was_erased_comes_back_from_no_backup(file: Path, keys: Path, tmp_path: Path, retain: Any) -> None:
    copy, exported = tmp_path / "copy.mem", tmp_path / "copy.jsonl"
    with opened(file, keys, retain=retain) as memory:
        story(memory)
        memory.backup(copy)
        secrets = data_keys(keys)
        report = memory.erase(subject="ann")
        assert (report.steps, report.residue) == (4, ())
        assert len(data_keys(keys)) == 1
        before = answers(memory)
        crystals = [crystal.text for crystal in memory.crystals()]
    assert all(secret.encode() not in keys.read_bytes() for secret in secrets[1:])
    with pytest.raises(ReadOnlyError, match="older than erasures"):
        opened(copy, keys, read_only=True)
    with opened(copy, keys) as restored:
        assert answers(restored) == before
        assert [crystal.text for crystal in restored.crystals()] == crystals
        assert CANARY not in restored.recall(CANARY).text
        assert restored._core.store.residue([CANARY.encode(), CANARY.split()[1].encode()]) == []
        restored.export(exported, derived=True)
        assert CANARY not in exported.read_text()
        assert restored.verify().ok
    with opened(copy, keys, read_only=True) as restored:
        assert answers(restored) == before


def test_an_encrypted_backup_is_named_as_one_that_was_not_looked_into(file: Path, keys: Path, tmp_path: Path) -> None:
    with opened(file, keys) as memory:
        story(memory)
        memory.backup(tmp_path / "copy.mem")
        report = memory.erase(subject="ann", scan=[tmp_path / "copy.mem"])
    assert report.residue == (f"{tmp_path / 'copy.mem'} is encrypted, so it was not looked into",)
    assert report.surfaces["backups"] == 1


def test_who_was_erased_is_logged_about_again_in_no_copy_without_consent(
    file: Path, keys: Path, tmp_path: Path
) -> None:
    copies = [tmp_path / f"{name}.mem" for name in "abc"]
    with opened(file, keys) as memory:
        story(memory)
        memory.episode(id="e").observe("Cid waits.", subjects=["cid"])
        other = memory.scoped("other").episode(id="e")
        other.log_many([{"text": "The lamp of Bob is off.", "subjects": ["bob"]}, "It rains."])
        memory.backup(copies[0])
        memory.erase(subject="ann")
        memory.scoped("other").erase(subject="bob")
        memory.consent("ann")
        memory.backup(copies[1])
        memory.erase(subject="cid")
    assert b"ann" not in keys.read_bytes()
    for at in (1, 2):  # it is told once
        with opened(copies[0], keys) as restored:
            writer = restored.episode(id="late")
            with pytest.raises(ErasedError, match="'ann' in namespace \\(\\) was erased"):
                writer.observe("Late news.", subjects=["ann"])
            with pytest.raises(ErasedError, match="'bob'"):
                restored.scoped("other").episode(id="late").observe("Late news.", subjects=["bob"])
            writer.observe(f"News of Bob, {at}.", subjects=["bob"])
            assert len(list(restored._core.store.scan(types=["erased"]))) == 3
            assert restored.certificates() == []
            assert restored.verify().ok
            restored.export(tmp_path / f"{at}.jsonl")
    with opened(copies[0], keys) as restored:
        restored.consent("ann")
        restored.episode(id="again").observe("Ann is back.", subjects=["ann"])
    with opened(copies[0], keys) as restored:
        restored.episode(id="again").observe("Ann stays.", subjects=["ann"])
    with opened(copies[1], keys) as later:  # made after the consent
        later.episode(id="late").observe("Ann is back.", subjects=["ann"])
        with pytest.raises(ErasedError, match="'cid'"):
            later.episode(id="late").observe("Cid?", subjects=["cid"])
    with opened(file, keys) as memory:
        assert len(list(memory._core.store.scan(types=["erased"]))) == 6  # two for each
        assert memory.verify().ok


@pytest.mark.parametrize("retain", ["keep", "crystals"])
def test_a_backup_recalls_as_the_memory_does(file: Path, keys: Path, tmp_path: Path, retain: Any) -> None:
    copy = tmp_path / "copy.mem"
    with opened(file, keys, retain=retain) as memory:
        story(memory)
        memory.backup(copy)
        before, crystals = [*answers(memory), memory.recall(CANARY).text], memory.crystals()
    with open_store(str(copy), read_only=True, key_file=str(keys)) as store:
        assert store.crystals(()) == []
        assert store.sizes()["lexicon"] <= 2048
    with opened(copy, keys, read_only=True) as restored:  # finds steps, without crystals
        assert CANARY in restored.recall(CANARY).text
    with opened(copy, keys) as restored:
        assert [*answers(restored), restored.recall(CANARY).text] == before
        assert restored.crystals() == crystals
        assert restored.verify().ok


def test_a_copy_of_an_encrypted_file_cannot_be_read_after_shredding_not_even_by_hand(file: Path, keys: Path) -> None:
    with stored(file, keys) as store:
        store.append([about(CANARY, "ann", key="k"), about("stays", "bob")])
        shutil.copy(file, file.with_name("copy.mem"))
        shutil.copy(str(file) + "-wal", file.with_name("copy.mem-wal"))
        store.erase([1])
        with pytest.raises(KeyConflictError, match="was erased"):
            store.append([about(CANARY, "ann", key="k")])
        store._files.database = str(file.with_name("copy.mem"))
        connection = store._pool._connect()
        ((body,),) = connection.execute("SELECT body FROM log WHERE position = 1").fetchall()
        connection.close()
        assert store._sealing is not None
        with pytest.raises(NotFoundError, match="was shredded"):
            store._sealing.opened(replace(about("", "ann"), body=body))
        store._files.database = str(file)


def test_an_erasure_that_was_cut_off_is_finished_at_the_next_opening(file: Path, keys: Path) -> None:
    with stored(file, keys) as store:
        store.append([about(CANARY, "ann"), about("stays", "bob"), step("plain", A)])
        with store._writing() as transaction:
            store._shredding.condemn(transaction.connection, [1])
    with stored(file, keys) as store:
        assert [record.text for record in store.scan()] == ["stays", "plain"]
        assert store.verify()[0] == []
    assert len(data_keys(keys)) == 1


def test_a_subject_that_is_logged_again_after_an_erasure_has_another_key(file: Path, keys: Path) -> None:
    with stored(file, keys) as store:
        store.append([about("one", "ann")])
        before = data_keys(keys)
        store.erase([1])
        store.append([about("one", "ann", key="again")])
        assert not set(before) & set(data_keys(keys))
        assert store.append([about("one", "ann", key="again")])[0].position == 2
        assert store.read([2])[0].text == "one"


def test_the_same_blob_about_two_subjects_outlives_the_erasure_of_one(file: Path, keys: Path) -> None:
    with opened(file, keys) as memory:
        episode = memory.episode(id="e")
        for subject in ("ann", "bob"):
            step = episode.observe(f"about {subject}", subjects=[subject], blobs={"b": b"shared picture"})
        memory.erase(subject="ann")
        assert memory.blob(step.blobs["b"]) == b"shared picture"
        memory.erase(subject="bob")
        with pytest.raises(NotFoundError):
            memory._core.store.blob(step.blobs["b"])


# ---- several processes


def test_what_another_opening_shredded_or_added_is_known_at_once(file: Path, keys: Path) -> None:
    with stored(file, keys) as one, stored(file, keys) as two:
        one.append([about("first", "ann")])
        two.append([about("second", "ann"), about("third", "bob")])
        assert [record.text for record in one.scan()] == ["first", "second", "third"]
        assert len(data_keys(keys)) == 2
        one.erase([1, 2])
        assert [record.text for record in two.scan()] == ["third"]
        two.append([about("fourth", "ann")])  # sealed by a key that is gone, and then again
        assert [record.text for record in one.scan()] == ["third", "fourth"]
        assert one.verify()[0] == two.verify()[0] == []


@forks
def test_forked_processes_share_keys(file: Path, keys: Path) -> None:
    with stored(file, keys) as store:
        store.append([about("0", "ann")])
        context = multiprocessing.get_context("fork")
        children = [context.Process(target=_log_many, args=(store, n)) for n in range(3)]
        for child in children:
            child.start()
        for child in children:
            child.join()
        assert [child.exitcode for child in children] == [0, 0, 0]
        assert len(list(store.scan())) == 1 + 3 * 20
        assert len(data_keys(keys)) == 1 + 5
        assert store.verify()[0] == []


def _log_many(store: SQLiteStore, process: int) -> None:
    for n in range(20):
        store.append([about(f"{process} {n}", f"subject {n % 5}")])


def agent(file: Path, keys: Path, seed: int, say: Callable[[str], None]) -> None:
    """Append and erase subjects at random, telling what was acknowledged."""
    rng = random.Random(seed)
    with stored(file, keys) as store:
        number = int(rng.random() * 1e9)
        while True:
            if rng.random() < 0.9:
                number, subject = number + 1, rng.randrange(4)
                store.append([about(f"n{number}", f"s{subject}", key=f"n{number}")])
                say(f"a n{number} s{subject}\n")
            else:
                subject = rng.randrange(4)
                mine = [r.position for r in store.scan() if f'"s{subject}"' in r.body]
                say(f"t s{subject} s{subject}\n")
                store.erase(mine)
                say(f"e s{subject} s{subject}\n")


def killed(file: Path, keys: Path, seed: int) -> Iterator[list[str]]:
    """What a forked agent told before it was killed."""
    read, write = os.pipe()

    def work() -> None:
        os.close(read)
        agent(file, keys, seed, lambda line: os.write(write, line.encode()) and None)

    child = multiprocessing.get_context("fork").Process(target=work)
    child.start()
    os.close(write)
    time.sleep(random.Random(seed).uniform(0.01, 0.12))
    assert child.pid is not None
    os.kill(child.pid, signal.SIGKILL)
    child.join()
    with os.fdopen(read) as lines:
        yield from (line.split() for line in lines.read().splitlines(keepends=True) if line.endswith("\n"))


def kill_often(file: Path, keys: Path, seeds: range) -> None:
    there: dict[str, str] = {}
    for seed in seeds:
        doubtful = None
        for what, name, subject in killed(file, keys, seed):
            if what == "a":
                there[name] = subject
            doubtful = subject if what == "t" else None
            if what == "e":
                there = {one: about for one, about in there.items() if about != subject}
        with stored(file, keys) as store:
            found = {record.text for record in store.scan()}
            assert {name for name, about in there.items() if about != doubtful} <= found
            assert store.verify()[0] == []
            there = {r.text: json.loads(r.body)["subjects"][0] for r in store.scan()}
        assert not KeyFile(str(keys)).content.condemned


@forks
def test_a_killed_process_leaves_every_acknowledged_record_readable(file: Path, keys: Path) -> None:
    kill_often(file, keys, range(6))
    assert file.stat().st_size > 0


@forks
@pytest.mark.slow
def test_two_hundred_killed_processes_leave_every_acknowledged_record_readable(file: Path, keys: Path) -> None:
    kill_often(file, keys, range(100, 300))


def test_a_key_file_that_finds_no_room_to_be_written_anew_is_left_as_it_was(tmp_path: Path) -> None:
    keys = KeyFile(str(tmp_path / "agent.key"))
    keys.add([b"ann", b"bob", b"cid"])
    known = {group: keys.data_key(keys.key_of(group) or "") for group in (b"ann", b"bob")}
    keys.condemn([keys.key_of(b"cid") or ""], [])
    before, limits = (tmp_path / "agent.key").read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) // 2, limits[1]))
    try:
        with pytest.raises((StoreError, OSError)):
            keys.shred()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (tmp_path / "agent.key").read_bytes() == before
    KeyFile(str(tmp_path / "agent.key")).shred()
    again = KeyFile(str(tmp_path / "agent.key"))
    assert {group: again.data_key(again.key_of(group) or "") for group in known} == known
