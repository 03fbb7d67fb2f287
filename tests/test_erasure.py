"""Erased stays erased: tombstones, certificates, consent, what was done with a memory, and the drill."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import apsw
import pytest
from strategies import SECRET, opened

from agentmem import InvalidInputError, Memory, NotFoundError
from agentmem.errors import ConsentError, ErasedError, ReadOnlyError
from agentmem.testing.erasure import run
from agentmem.transfer import Importer


def read_back(memory: Memory, path: Path) -> list[str]:
    """Import an export; what was refused."""
    refused: list[str] = []
    importer = Importer(memory._core.store, (), memory._core.clock, lambda _, problem: refused.append(problem))
    for number, line in enumerate(path.read_text().splitlines(), 1):
        importer.add(number, json.loads(line))
    importer.flush()
    return refused


# ---- tombstones ------------------------------------------------------------------------------------------------------


def test_a_subject_that_was_erased_is_logged_about_again_only_with_consent(told: Memory, file: Path) -> None:
    writer = told.episode(id="house")
    told.erase(subject="ann")
    with opened(file) as other:
        for late in (writer, other.episode(id="house"), other.episode()):
            with pytest.raises(ErasedError, match=r"'ann'.*consent\('ann'\)"):
                late.log("Late news.", subjects=["bob", "ann"])
        with pytest.raises(ErasedError):
            writer.log_many(["a", {"text": "b", "subjects": ["ann"]}])
        assert writer.log("Bob is here.", subjects=["bob"]).subjects == ("bob",)
        other.scoped("acme").episode().log("Another Ann.", subjects=["ann"])
        assert other.consent("ann") == 0
    assert writer.log("Ann is back.", subjects=["ann"]).text == "Ann is back."
    assert told.verify().ok


def test_what_is_logged_while_an_erasure_is_at_work_goes_too(told: Memory, file: Path) -> None:
    store = told._core.store
    erase = store.erase

    def late(*given: Any) -> bool:
        store.erase = erase  # type: ignore[method-assign]
        opened(file).episode(id="house").log("Ann rang just now.", subjects=["ann"])
        return erase(*given)

    store.erase = late  # type: ignore[method-assign, assignment]
    certificate = told.erase(subject="ann").certificate
    assert certificate is not None
    assert certificate.after is not None
    assert certificate.after["late"] == 1
    assert not any(step.subjects for step in told.steps())
    assert told.verify().ok


def test_a_tombstone_holds_no_name(told: Memory, file: Path) -> None:
    with told.episode(id="quokkas") as episode:
        episode.log("Nothing else.", subjects=["quokkamaria"])
    told.erase(subject="quokkamaria")
    told.consent("wombatjoe", given=False)
    told.close()
    data = file.read_bytes()
    assert b"quokkamaria" not in data
    assert b"wombatjoe" not in data


@pytest.mark.parametrize("given", [{"subject": "ann"}, {"episode": "house"}, {"steps": "first"}, {"namespace": ()}])
def test_an_older_export_does_not_bring_back_what_was_erased(
    told: Memory, tmp_path: Path, given: dict[str, Any]
) -> None:
    told.episode(id="house").recall(SECRET)
    told.export(tmp_path / "old.jsonl")
    if "steps" in given:
        given = {"steps": next(told.steps("house")).id}
    told.erase(**given)
    before = [step.text for step in told.steps()]
    refused = read_back(told, tmp_path / "old.jsonl")
    assert refused
    assert [step.text for step in told.steps()] == before
    assert not any("In the house" in record.text for record in told._core.store.scan())
    assert SECRET not in [record.text for record in told._core.store.scan(types=["recall"])]


def test_tombstones_travel_with_an_export_and_a_backup(told: Memory, tmp_path: Path) -> None:
    told.erase(subject="ann")
    told.consent("bob", given=False)
    told.export(tmp_path / "new.jsonl")
    told.backup(tmp_path / "copy.mem")
    with opened(tmp_path / "copy.mem") as copy, opened(tmp_path / "other.mem") as other:
        assert read_back(other, tmp_path / "new.jsonl") == []
        for memory in (copy, other):
            with pytest.raises(ErasedError):
                memory.episode(id="house").log("Late.", subjects=["ann"])
            with pytest.raises(ConsentError):
                memory.episode(id="house").log("Late.", subjects=["bob"])
            assert memory.verify().ok
        other.export(tmp_path / "again.jsonl")
        assert (tmp_path / "again.jsonl").read_bytes() == (tmp_path / "new.jsonl").read_bytes()
        other.consent("ann")
        assert other.episode(id="house").log("Back.", subjects=["ann"])


def test_an_older_consent_that_is_imported_does_not_let_an_erased_subject_in(told: Memory, tmp_path: Path) -> None:
    told.consent("ann", note="by letter")
    told.export(tmp_path / "old.jsonl")
    told.erase(subject="ann")
    assert [record.type for record in told._core.store.scan(types=["consent"])] == []
    read_back(told, tmp_path / "old.jsonl")
    with pytest.raises(ErasedError):
        told.episode(id="house").log("Late.", subjects=["ann"])
    assert told.verify().ok


def test_a_writer_forgets_what_it_was_told_of_what_another_process_erased(told: Memory, file: Path) -> None:
    writer = told.episode(id="house")
    writer.recall("vault opens with seven")
    with opened(file) as other:
        other.erase(subject="ann")
    assert writer.act(f"{SECRET} In the garden.").recalled == ()


# ---- certificates ----------------------------------------------------------------------------------------------------


def test_a_certificate_stands_in_the_log_and_outlives_later_erasures(told: Memory) -> None:
    before = told.head()
    report = told.acting("the officer").erase(subject="ann")
    certificate = report.certificate
    assert certificate is not None
    assert (certificate.request, certificate.who, certificate.counts["steps"]) == ("subject", "the officer", 3)
    assert certificate.before["position"] == before.position
    assert certificate.surfaces == report.surfaces == dict.fromkeys(report.surfaces, 0)
    assert len(report.surfaces) == 10
    assert told.certificates() == [certificate]
    assert told.confirm(certificate.model_dump_json()).ok
    told.erase(episode="house")
    assert [one.request for one in told.certificates()] == ["subject", "episode"]
    assert told.confirm(certificate).ok
    assert told.verify().ok


def test_a_certificate_that_was_changed_or_is_of_another_memory_is_told(told: Memory, tmp_path: Path) -> None:
    certificate = told.erase(subject="ann").certificate
    assert certificate is not None
    wrong = certificate.model_copy(update={"counts": {"steps": 99}})
    assert "counts" in told.confirm(wrong).problems[0]
    with opened(tmp_path / "other.mem") as other:
        assert "erase_again" in other.confirm(certificate).problems[0]
        with pytest.raises(NotFoundError, match="no namespace"):
            other.erase_again(certificate)
    with pytest.raises(InvalidInputError, match="no certificate"):
        told.confirm("{}")


@pytest.mark.parametrize("given", [{"subject": "ann"}, {"episode": "house"}, {"steps": "first"}, {"namespace": ()}])
def test_a_restored_copy_is_erased_again_by_its_certificate(
    told: Memory, tmp_path: Path, given: dict[str, Any]
) -> None:
    told.backup(tmp_path / "old.mem")
    if "steps" in given:
        given = {"steps": next(told.steps("house")).id}
    certificate = told.erase(**given).certificate
    assert certificate is not None
    left = [step.text for step in told.steps()]
    with opened(tmp_path / "old.mem") as restored:
        reports = restored.erase_again(certificate.model_dump_json())
        assert [report.residue for report in reports] == [()]
        assert [step.text for step in restored.steps()] == left
        assert [report.steps for report in restored.erase_again(certificate)] in ([0], [])
        if "subject" in given:
            with pytest.raises(ErasedError):
                restored.episode(id="garden").log("Late.", subjects=["ann"])


def test_the_preview_lists_what_goes_and_whom_else_it_is_about(told: Memory) -> None:
    for name in ("garden", "house"):
        told.episode(id=name).end()
    told.crystallize()
    told.episode(id="house").recall("vault opens with", layers=None)
    told.episode(id="house").log("picture", subjects=["ann"], blobs={"b": b"bytes of Ann"})
    told.attach("state", b"x")
    report = told.erase(subject="ann", dry_run=True)
    assert (report.steps, report.recalls, report.keys, report.blobs, report.others) == (4, 1, 1, 1, ("bob",))
    assert sum(report.layers.values()) == report.crystals > 0
    assert report.attachments == (((), "state"),)
    assert told.erase(subject="ann", dry_run=True) == report
    assert told.erase(subject="bob", dry_run=True).others == ("ann",)


def test_short_words_and_values_are_looked_for_too(told: Memory, file: Path) -> None:
    told.attach("elsewhere", b"x")
    told.scoped("other").attach("notes", b'{"pin": 987654}')
    report = told.erase(subject="ann")
    assert [place for place in report.residue if "agent.mem" in place]
    assert report.surfaces["tables"] > 0


def test_files_that_are_named_are_looked_into(told: Memory, tmp_path: Path) -> None:
    told.export(tmp_path / "old.jsonl.gz")
    told.backup(tmp_path / "old.mem")
    report = told.erase(subject="ann", scan=[tmp_path / "old.jsonl.gz", tmp_path / "old.mem"])
    assert report.surfaces["exports"] == 1
    assert report.surfaces["backups"] > 0
    assert report.surfaces["tables"] == 0
    with pytest.raises(NotFoundError, match=r"gone\.jsonl"):
        told.erase(episode="house", scan=[tmp_path / "gone.jsonl"])
    assert list(told.steps("house"))


def test_a_text_that_begins_as_an_encrypted_memory_does_is_looked_into(told: Memory, tmp_path: Path) -> None:
    (tmp_path / "page.md").write_text(f"agentmem\n{SECRET} In the house.")
    report = told.erase(subject="ann", scan=[tmp_path / "page.md"])
    assert report.residue == (f"{tmp_path / 'page.md'} at byte 9",)


# ---- the file --------------------------------------------------------------------------------------------------------


def test_a_file_of_format_3_is_renewed_and_can_be_erased_from(told: Memory, file: Path) -> None:
    told.close()
    connection = apsw.Connection(str(file))
    connection.execute("DROP TABLE barred; DROP TABLE ledger; PRAGMA user_version=3")
    connection.close()
    with pytest.raises(ReadOnlyError, match="older format 3"):
        Memory.open(file, read_only=True)
    with opened(file) as memory:
        assert memory.erase(subject="ann").residue == ()
        assert memory.verify().ok


def test_another_process_is_refused_too(told: Memory, file: Path) -> None:
    told.erase(subject="ann")
    code = (
        "import sys; from agentmem import Memory; from agentmem.errors import ErasedError\n"
        "try: Memory.open(sys.argv[1], encoder=None).episode(id='house').log('Late.', subjects=['ann'])\n"
        "except ErasedError: print('refused')"
    )
    done = subprocess.run([sys.executable, "-c", code, str(file)], capture_output=True, text=True, check=False)
    assert done.stdout == "refused\n", done.stderr


# ---- the drill -------------------------------------------------------------------------------------------------------


def test_after_an_erasure_nothing_is_left_and_nothing_else_changed() -> None:
    told = run(seed=0, count=1)
    assert told["failures"] == []
    assert (told["residue"], told["resurrected"], told["unequal"]) == (0, 0, 0)
    assert told["erased"] > 0
    assert told["refused lines"] > 0


@pytest.mark.slow
def test_300_erasures_leave_nothing_and_change_nothing_else() -> None:
    told = run(seed=1, count=300)
    print(json.dumps({name: count for name, count in told.items() if name != "failures"}))
    assert told["failures"] == []
    assert (told["residue"], told["resurrected"], told["unequal"]) == (0, 0, 0)
