"""An encrypted memory: nothing of it is readable without its key file, and what was erased is readable nowhere."""

from __future__ import annotations

import json
import random
import stat
from dataclasses import replace
from pathlib import Path

import pytest
from keyed import CANARY, about, opened, stored
from test_store_sqlite import terms_of
from typer.testing import CliRunner

from agentmem import Memory
from agentmem.cli import app
from agentmem.errors import (
    AgentMemError,
    DamagedError,
    KeyFileError,
    MissingExtraError,
    SettingsError,
)
from agentmem.store import open_store, sealing
from agentmem.testing import StoreContract
from agentmem.testing.records import B
from agentmem.types import Store

forks = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")


# ---- the contract


@pytest.mark.slow
class TestEncryptedStore(StoreContract):
    def make_store(self, path: str) -> Store:
        return open_store(path, terms=terms_of, key_file=str(Path(path).parent / "contract.key"))


class TestSealedStore(StoreContract):
    """Every step of the contract is about somebody, and so sealed."""

    make_store = TestEncryptedStore.make_store

    @pytest.fixture(autouse=True)
    def about_somebody(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sealing, "group_of", lambda record: b"somebody" if record.type == "step" else None)


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
def keys(tmp_path: Path) -> Path:
    (tmp_path / "apart").mkdir()
    return tmp_path / "apart" / "a.key"


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


def test_without_ciphers_the_line_that_installs_them_is_told(
    file: Path, keys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agentmem.store.unlocking.has_ciphers", lambda: False)
    with pytest.raises(MissingExtraError, match="pip install .*apsw-sqlite3mc"):
        opened(file, keys)
    assert not file.exists()
    assert not keys.exists()


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


def test_a_passphrase_that_would_protect_nothing_is_refused_and_never_told(
    file: Path, keys: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(SettingsError, match="belongs to a key file"):
        opened(file, None, passphrase=lambda: "hunter22")
    with pytest.raises(SettingsError, match="passphrase is a str; give a function") as caught:
        opened(file, keys, passphrase="hunter22")
    assert "hunter22" not in str(caught.value)
    assert list(file.parent.glob(f"{file.name}*")) == []
    opened(file, keys).close()
    with pytest.raises(KeyFileError, match="made without a passphrase; leave passphrase= out"):
        opened(file, keys, passphrase=lambda: "hunter22")
    assert caplog.messages == []
    monkeypatch.setenv("AGENTMEM_KEY", "hunter22")
    opened(file, keys).close()
    plain = file.with_name("plain.mem")
    opened(plain, None).close()
    opened(plain, None).close()
    assert caplog.messages == [
        f"{keys} was made without a passphrase, so AGENTMEM_KEY does not protect it",
        f"{plain} is made without a key file, so AGENTMEM_KEY does not protect it",
    ]


def key_of(keys: Path) -> str:
    """The store key of a key file without a passphrase."""
    return str(json.loads(keys.read_bytes().splitlines()[0].rpartition(b" ")[0])["store"])


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


def test_a_line_that_was_being_written_when_the_machine_stopped_is_written_over(file: Path, keys: Path) -> None:
    with stored(file, keys) as store:
        store.append([about("one", "ann")])
    with keys.open("ab") as there:
        there.write(b'{"at":9,"key":"00')
    with stored(file, keys) as store:
        store.append([about("two", "bob")])
    with stored(file, keys) as store:
        assert [record.text for record in store.scan()] == ["one", "two"]


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


# ---- the command line


def test_a_command_takes_the_key_file_or_finds_it_in_the_environment(file: Path, keys: Path) -> None:
    with opened(file, keys) as memory:
        memory.episode(id="e").observe("The key hangs by the door.", subjects=["ann"])
    paths = str(file), "--key-file", str(keys)
    for command in (["recall", paths[0], "key"], ["stats", paths[0]], ["verify", paths[0]]):
        assert CliRunner().invoke(app, command).exit_code == 1
        assert CliRunner().invoke(app, [*command, *paths[1:]]).exit_code == 0
        assert CliRunner().invoke(app, command, env={"AGENTMEM_KEY_FILE": str(keys)}).exit_code == 0


def test_every_command_that_opens_a_memory_has_the_option() -> None:
    reading = "recall stats verify crystallize graph replay view serve mcp"
    for command in f"{reading} ingest erase forget export import backup repair".split():
        assert "--key-file" in CliRunner().invoke(app, [command, "--help"]).stdout, command
