"""An encrypted memory: nothing of it is readable without its key file, and what was erased is readable nowhere."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import shutil
import signal
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from test_store_sqlite import terms_of
from typer.testing import CliRunner

from agentmem import Memory
from agentmem.cli import app
from agentmem.errors import (
    AgentMemError,
    DamagedError,
    KeyConflictError,
    KeyFileError,
    MissingExtraError,
    NotFoundError,
    ReadOnlyError,
    SettingsError,
)
from agentmem.store import SQLiteStore, open_store, sealing
from agentmem.store.keyfile import KeyFile
from agentmem.store.schema import has_ciphers
from agentmem.testing import StoreContract
from agentmem.testing.records import A, B, step
from agentmem.types import Record, Store

needs_ciphers = pytest.mark.skipif(not has_ciphers(), reason="the SQLite that is installed has no ciphers")
forks = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
CANARY = "canary 7f3a90c1d25be648"


# ---- the contract


@needs_ciphers
@pytest.mark.slow
class TestEncryptedStore(StoreContract):
    def make_store(self, path: str) -> Store:
        return open_store(path, terms=terms_of, key_file=str(Path(path).parent / "contract.key"))


@needs_ciphers
class TestSealedStore(StoreContract):
    """Every step of the contract is about somebody, and so sealed."""

    make_store = TestEncryptedStore.make_store

    @pytest.fixture(autouse=True)
    def about_somebody(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sealing, "group_of", lambda record: b"somebody" if record.type == "step" else None)


@needs_ciphers
@pytest.mark.slow
class TestSealedWithoutAStoredIndex(TestSealedStore):
    def make_store(self, path: str) -> Store:
        settings, keys = {"retain": "crystals"}, str(Path(path).parent / "contract.key")
        return open_store(path, durability="process", settings=settings, terms=terms_of, key_file=keys)

    def test_settings_and_sizes_are_told(self, store: Store) -> None:
        assert store.setting("retain") == "crystals"
        assert store.sizes()["lexicon"] == 0


# ---- a memory and its key file


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "a.mem"


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    (tmp_path / "apart").mkdir()
    return tmp_path / "apart" / "a.key"


def opened(file: Path, keys: Path | None, **options: Any) -> Memory:
    return Memory.open(file, key_file=keys, encoder=None, durability="process", **options)


def about(text: str, *subjects: str, namespace: tuple[str, ...] = A, **fields: Any) -> Record:
    body = json.dumps({"subjects": list(subjects), "note": text}, separators=(",", ":"))
    return step(text, namespace, body=body, **fields)


def stored(file: Path, keys: Path, **options: Any) -> SQLiteStore:
    return open_store(str(file), "process", terms=terms_of, key_file=str(keys), **options)


@needs_ciphers
def test_nothing_that_was_logged_stands_in_the_files(file: Path, keys: Path) -> None:
    with opened(file, keys) as memory:
        with memory.episode(id="house", goal=f"{CANARY} goal", agent="agent-canary") as episode:
            episode.observe(CANARY, data={"n": CANARY}, key="key-canary")
            episode.say("canary-actor", CANARY * 90, subjects=["canary-ann"], blobs={"b": CANARY.encode() * 9})
            episode.recall(CANARY)
        memory.attach("canary-name", CANARY.encode())
        memory.backup(file.parent / "copy.mem")
        assert memory.recall(CANARY).text.count(CANARY) > 1
        during = [path.read_bytes() for path in file.parent.iterdir() if path.is_file()]
    after = [path.read_bytes() for path in file.parent.iterdir() if path.is_file()]
    for content in [*during, *after, keys.read_bytes()]:
        assert b"canary" not in content
        assert not content.startswith(b"SQLite")
    assert stat.S_IMODE(keys.stat().st_mode) == 0o600


@needs_ciphers
def test_everything_is_there_after_reopening_and_verifies(file: Path, keys: Path) -> None:
    with opened(file, keys) as memory:
        with memory.episode(id="e") as episode:
            episode.observe("The key hangs by the door.", subjects=["ann"], blobs={"b": b"picture"}, data={"n": 1})
        before = memory.recall("where is the key?")
    with opened(file, keys, read_only=True) as memory:
        (one,) = memory.steps()
        assert (one.text, one.subjects, one.data) == ("The key hangs by the door.", ("ann",), {"n": 1})
        assert memory.blob(one.blobs["b"]) == b"picture"
        assert memory.recall("where is the key?") == before
        assert memory.verify().ok


@needs_ciphers
def test_a_memory_and_a_key_file_that_do_not_belong_together_are_told(file: Path, keys: Path, tmp_path: Path) -> None:
    other, plain = tmp_path / "other.mem", tmp_path / "plain.mem"
    opened(file, keys).close()
    opened(other, tmp_path / "other.key").close()
    opened(plain, None).close()
    before = {path: path.read_bytes() for path in (file, keys, plain)}
    with pytest.raises(KeyFileError, match="encrypted.*key_file="):
        opened(file, None)
    with pytest.raises(KeyFileError, match="another memory's"):
        opened(file, tmp_path / "other.key")
    with pytest.raises(KeyFileError, match=r"there is no key file .*new\.key"):
        opened(file, tmp_path / "new.key")
    with pytest.raises(KeyFileError, match=r"plain\.mem is a memory"):
        opened(file, plain)
    with pytest.raises(KeyFileError, match="is new; give a new path"):
        opened(tmp_path / "new.mem", keys)
    with pytest.raises(SettingsError, match="is not encrypted"):
        opened(plain, tmp_path / "new.key")
    with pytest.raises(SettingsError, match="a file of the memory"):
        opened(file, file)
    with pytest.raises(SettingsError, match="':memory:'"):
        Memory.open(":memory:", key_file=tmp_path / "new.key")
    assert before == {path: path.read_bytes() for path in before}
    assert not (tmp_path / "new.key").exists()
    assert not (tmp_path / "new.mem").exists()


@pytest.mark.skipif(has_ciphers(), reason="of an SQLite without ciphers")
def test_without_ciphers_the_line_that_installs_them_is_told(file: Path, keys: Path) -> None:
    with pytest.raises(MissingExtraError, match="pip install .*apsw-sqlite3mc"):
        opened(file, keys)
    assert not file.exists()
    assert not keys.exists()


@needs_ciphers
def test_a_passphrase_wraps_the_keys_and_another_is_refused(
    file: Path, keys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def passphrase() -> str:
        asked.append(1)
        return "open sesame"

    with opened(file, keys, passphrase=passphrase) as memory:
        memory.episode(id="e").observe(CANARY, subjects=["ann"])
        memory.backup(file.parent / "copy.mem")
    assert len(asked) == 1
    with pytest.raises(KeyFileError, match="has a passphrase; set AGENTMEM_KEY"):
        opened(file, keys)
    monkeypatch.setenv("AGENTMEM_KEY", "sesame open")
    with pytest.raises(KeyFileError, match="not that of the key file"):
        opened(file, keys)
    monkeypatch.setenv("AGENTMEM_KEY", "open sesame")
    with opened(file, keys) as memory:
        assert [one.text for one in memory.steps()] == [CANARY]


def key_of(keys: Path) -> str:
    """The store key of a key file without a passphrase."""
    return str(json.loads(keys.read_bytes().splitlines()[0].rpartition(b" ")[0])["store"])


@needs_ciphers
def test_no_key_is_in_a_repr_an_export_or_a_message(file: Path, keys: Path, tmp_path: Path) -> None:
    with opened(file, keys) as memory:
        memory.episode(id="e").observe("x", subjects=["ann"])
        memory.export(tmp_path / "log.jsonl", derived=True)
        said = [repr(memory), repr(memory._core.store._sealing.keys), (tmp_path / "log.jsonl").read_text()]
    secret = key_of(keys)
    with pytest.raises(AgentMemError) as told:
        opened(tmp_path / "new.mem", keys)
    assert all(secret not in text for text in [*said, str(told.value), repr(told.value)])


# ---- a key file that was harmed


@needs_ciphers
def test_a_key_file_cut_short_anywhere_is_told_and_an_older_one_too(file: Path, keys: Path) -> None:
    with stored(file, keys) as store:
        store.append([about("one", "ann")])
        older = keys.read_bytes()
        store.append([about("two", "bob"), about("three", "cid")])
        store.erase([2])
    whole = keys.read_bytes()
    for cut in range(0, len(whole), 31):
        keys.write_bytes(whole[:cut])
        with pytest.raises(KeyFileError, match="cut short|no key file"):
            stored(file, keys)
    keys.write_bytes(older)
    with pytest.raises(KeyFileError, match="older than"):
        stored(file, keys)
    keys.write_bytes(whole)
    with stored(file, keys) as store:
        assert [record.text for record in store.scan()] == ["one", "three"]


@needs_ciphers
def test_a_changed_line_of_a_key_file_is_told(file: Path, keys: Path) -> None:
    with stored(file, keys) as store:
        store.append([about("one", "ann")])
    whole = keys.read_bytes()
    rng = random.Random(0)
    for _ in range(40):
        at = rng.randrange(len(whole))
        keys.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << rng.randrange(7)]) + whole[at + 1 :])
        with pytest.raises(KeyFileError):
            stored(file, keys)


@needs_ciphers
def test_a_line_that_was_being_written_when_the_machine_stopped_is_written_over(file: Path, keys: Path) -> None:
    with stored(file, keys) as store:
        store.append([about("one", "ann")])
    with keys.open("ab") as there:
        there.write(b'{"at":9,"key":"00')
    with stored(file, keys) as store:
        store.append([about("two", "bob")])
    with stored(file, keys) as store:
        assert [record.text for record in store.scan()] == ["one", "two"]


@needs_ciphers
def test_a_sealed_record_cannot_stand_in_for_another(file: Path, keys: Path) -> None:
    with stored(file, keys) as store:
        store.append([about("one", "ann", episode="e"), about("two", "ann", episode="f")])
        assert store._sealing is not None
        with store._reading() as connection:
            one, two = (entry.record for entry in store._log.entries(connection, [1, 2]).values())
        assert store._sealing.opened(one).text == "one"
        for moved in (replace(one, body=two.body), replace(one, namespace=B), replace(one, kind="action")):
            with pytest.raises(DamagedError, match="position 1 was changed or moved"):
                store._sealing.opened(moved)


# ---- shredding


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


@needs_ciphers
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


def data_keys(keys: Path) -> list[str]:
    """The wrapped data keys in a key file."""
    lines = [json.loads(line.rpartition(b" ")[0]) for line in keys.read_bytes().splitlines()]
    return [line["data"] for line in lines if "data" in line]


@needs_ciphers
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


@needs_ciphers
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


@needs_ciphers
def test_an_erasure_that_was_cut_off_is_finished_at_the_next_opening(file: Path, keys: Path) -> None:
    with stored(file, keys) as store:
        store.append([about(CANARY, "ann"), about("stays", "bob"), step("plain", A)])
        with store._writing() as transaction:
            store._shredding.condemn(transaction.connection, [1])
    with stored(file, keys) as store:
        assert [record.text for record in store.scan()] == ["stays", "plain"]
        assert store.verify()[0] == []
    assert len(data_keys(keys)) == 1


@needs_ciphers
def test_a_subject_that_is_logged_again_after_an_erasure_has_another_key(file: Path, keys: Path) -> None:
    with stored(file, keys) as store:
        store.append([about("one", "ann")])
        before = data_keys(keys)
        store.erase([1])
        store.append([about("one", "ann", key="again")])
        assert not set(before) & set(data_keys(keys))
        assert store.append([about("one", "ann", key="again")])[0].position == 2
        assert store.read([2])[0].text == "one"


@needs_ciphers
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


@needs_ciphers
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


@needs_ciphers
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


@needs_ciphers
@forks
def test_a_killed_process_leaves_every_acknowledged_record_readable(file: Path, keys: Path) -> None:
    kill_often(file, keys, range(6))
    assert file.stat().st_size > 0


@needs_ciphers
@forks
@pytest.mark.slow
def test_two_hundred_killed_processes_leave_every_acknowledged_record_readable(file: Path, keys: Path) -> None:
    kill_often(file, keys, range(100, 300))


# ---- the command line


@needs_ciphers
def test_a_command_takes_the_key_file_or_finds_it_in_the_environment(file: Path, keys: Path) -> None:
    with opened(file, keys) as memory:
        memory.episode(id="e").observe("The key hangs by the door.", subjects=["ann"])
    paths = str(file), "--key-file", str(keys)
    for command in (["recall", paths[0], "key"], ["stats", paths[0]], ["verify", paths[0]]):
        assert CliRunner().invoke(app, command).exit_code == 1
        assert CliRunner().invoke(app, [*command, *paths[1:]]).exit_code == 0
        assert CliRunner().invoke(app, command, env={"AGENTMEM_KEY_FILE": str(keys)}).exit_code == 0


def test_every_command_that_opens_a_memory_has_the_option() -> None:
    for (
        command
    ) in "ingest recall stats verify crystallize graph replay view serve mcp erase forget export import backup".split():
        assert "--key-file" in CliRunner().invoke(app, [command, "--help"]).stdout, command
