"""What an owner asks of a memory: forget, pin, erase, consent, and what was done. Knows the arguments, and who asks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentmem.memory import accounts, certificates, checks, condensing, erasing, removal, residual
from agentmem.memory.core import Core
from agentmem.records import check_flag, check_name, check_namespace, check_path, check_text
from agentmem.types import Certificate, Change, Condenser, EraseReport, Namespace, Trust, Verification

if TYPE_CHECKING:
    from agentmem.memory.memory import Memory


class Owned:
    """These verbs of a `Memory`. who: whom its changes and accesses are noted as, see `acting`."""

    _core: Core
    _condenser: Condenser | None
    namespace: Namespace
    namespaces: tuple[Namespace, ...]
    who: str | None = None

    def acting(self: Memory, who: str) -> Memory:  # type: ignore[misc]
        """The same view of this memory, whose changes and accesses are noted as this agent's or principal's."""
        view = self.scoped(*self.namespace, read=self.namespaces[1:])
        view.who = check_name("who", who)
        return view

    # ---- out of recall -------------------------------------------------------------------------------------------

    def forget(
        self,
        steps: Sequence[str] | str | None = None,
        episode: str | None = None,
        derived_from: str | None = None,
        undo: bool = False,
        trust: Trust | None = None,
        reason: str | None = None,
    ) -> int:
        """Take steps, and crystals with their words, out of recall; undo brings them back. They stay in the log.

        derived_from: a step's id, or a crystal's for the steps it condenses: they and the steps that repeat them are
        rolled back, and recall is what it would be had they never been logged. trust: the steps of this trust. reason:
        why, see `forgotten`. A recall as of before still shows them. Returns how many steps.
        """
        given = {"steps": steps, "episode": episode, "derived_from": derived_from, "trust": trust}
        return removal.forget(self._core, self.namespace, given, check_flag("undo", undo), reason, self.who)

    def forgotten(self) -> dict[str, str | None]:
        """Id -> reason, if one was given, of every step that is held out of recall, in log order."""
        return removal.forgotten(self._core, self.namespace)

    def pin(self, ids: Sequence[str] | str) -> None:
        """Raise steps, or the steps a crystal condenses, in every recall, and keep their text under any retention."""
        with self._core.lock:
            asked = checks.check_ids("ids", ids)
            positions = {at for one in asked for at in removal.behind(self._core, self.namespace, one)}
        removal.note(self._core, self.namespace, "pin", sorted(positions), who=self.who)

    def consent(self, subject: str, given: bool = True, note: str | None = None) -> int:
        """Log that a subject gave consent, or withdrew it; returns how many steps are about it.

        Withdrawn, new steps about it are refused with ConsentError, and those there are stay out of every recall, also
        as of before; nothing is erased. Given, both end, and a subject that was erased may be logged about again. note:
        stands in the log until the subject is erased.
        """
        check_name("subject", subject)
        check_flag("given", given)
        if note is not None:
            check_text(note)
        with self._core.lock:
            return accounts.consent(self._core, self.namespace, subject, given, note, self.who)

    # ---- erasing -------------------------------------------------------------------------------------------------

    def erase(
        self,
        subject: str | None = None,
        episode: str | None = None,
        steps: Sequence[str] | str | None = None,
        namespace: Sequence[str] | None = None,
        dry_run: bool = False,
        scan: Sequence[str | Path] = (),
    ) -> EraseReport:
        """Remove steps from the file for good, with every crystal made from them, and make the crystals again.

        What else quotes them goes too: blobs, recall records that showed them or, in this namespace, whose cue repeats
        them, and every attachment of this namespace and of those whose recalls showed the steps, since it may hold
        them. A step about several subjects goes whole: `others` names them. What was erased stays so: its keys and its
        episode are refused, a line of an older export is, and a step about the subject raises ErasedError until
        `consent` is given. dry_run: only report what would go. scan: exports, graphs, replays and backups to look into;
        `residue` says where the erased text is still found, if anywhere: it may also have been logged elsewhere.
        HeldError, and nothing erased, where a `hold` is on any of it.
        """
        removal.one_of(subject=subject, episode=episode, steps=steps, namespace=namespace)
        check_flag("dry_run", dry_run)
        request = self._erasure(subject, episode, steps)
        scope = self.namespace if namespace is None else check_namespace(namespace)
        files = [check_path("scan", path) for path in checks.check_several("scan", scan, "paths of files")]
        residual.check_there(files)
        with self._core.crystallizing, self._core.lock:
            if dry_run:
                going = erasing.going(self._core, scope, request)
                return erasing.preview(self._core, scope, request, going)
            return erasing.erase(self._core, scope, request, self._again, self.who, files)

    def _erasure(self, subject: str | None, episode: str | None, steps: Sequence[str] | str | None) -> erasing.Request:
        """What is to be erased, checked; a whole namespace where none of these is given."""
        checks.check_filters(self._core, [self.namespace], episode)
        if subject is not None:
            return erasing.Request("subject", check_name("subject", subject))
        if steps is not None:
            return erasing.Request("steps", steps=checks.check_ids("steps", steps))
        return erasing.Request("namespace" if episode is None else "episode", episode)

    def _again(self, namespace: Namespace) -> None:
        condensing.crystallize(self._core, namespace, self._condenser)

    def erase_again(
        self, certificate: Certificate | str | bytes | Mapping[str, Any], dry_run: bool = False
    ) -> list[EraseReport]:
        """Erase from a restored copy what a certificate says was erased after the copy was made.

        certificate: of a report, of `certificates`, or its JSON. It holds no names: the copy is searched for what it
        means, in the namespace it is of. dry_run: only report what would go. Raises NotFoundError where no namespace is
        it, InvalidInputError for what is no certificate.
        """
        check_flag("dry_run", dry_run)
        given = certificates.read_certificate(certificate)
        with self._core.crystallizing, self._core.lock:
            return erasing.erase_again(self._core, given, self._again, self.who, dry_run)

    def certificates(self) -> list[Certificate]:
        """The certificates of every erasure of this namespace, and of whole namespaces where this is ()."""
        return certificates.certificates(self._core, [self.namespace])

    def confirm(self, certificate: Certificate | str | bytes | Mapping[str, Any]) -> Verification:
        """Whether the log and the ledger say what a certificate says; `verify` checks that they are whole."""
        return certificates.confirm(self._core, certificates.read_certificate(certificate))

    # ---- what was done -------------------------------------------------------------------------------------------

    def changes(self) -> list[Change]:
        """What was done with this namespace and with the file, in order: by whom, when, and how much; no content."""
        return accounts.changes(self._core, [self.namespace])

    def accesses(self) -> list[Change]:
        """Who recalled and read what, as digests, in order. InvalidInputError unless the memory keeps a log of it."""
        return accounts.accesses(self._core, [self.namespace])

    def _accessed(self, what: str, *told: str | None, everywhere: bool = False) -> Core:
        """Note an access where they are logged; returns what texts are read by. All that hands out texts of a memory
        comes through here. everywhere: this view's other namespaces are read as well. Of one in which nothing is,
        nothing is noted: that would put its name into the file.
        """
        core = self._core
        if core.keeps_accesses:
            there = set(self.namespaces if everywhere else [self.namespace]).intersection(core.store.namespaces())
            accounts.access(core, what, self.who, sorted(there), *told)
        return core
