"""Memory: joins a store with the algorithms. Knows how the parts are put together, and little else."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from agentmem.encode import DEFAULT, resolve
from agentmem.errors import InvalidInputError, KeyConflictError, NotFoundError, SettingsError
from agentmem.index import begin_key
from agentmem.memory import accounts, checks, condensing, recalling, redacting, removal, retention
from agentmem.memory.awaited import Awaited
from agentmem.memory.core import Core
from agentmem.memory.crystals import crystals_of
from agentmem.memory.episode import EpisodeWriter
from agentmem.memory.owned import Owned
from agentmem.memory.repairing import repair_open
from agentmem.memory.ruled import Ruled
from agentmem.recall import Weights
from agentmem.records import (
    brief,
    canonical,
    check_flag,
    check_goal,
    check_id,
    check_name,
    check_namespace,
    check_path,
    step_of,
)
from agentmem.store import check_target, open_store
from agentmem.terms import terms_of
from agentmem.transfer import export
from agentmem.trust import SHARE
from agentmem.types import (
    Condenser,
    CountTokens,
    Crystal,
    CrystallizeReport,
    Durability,
    Episode,
    Head,
    Hit,
    Layer,
    Namespace,
    PlanningContext,
    Record,
    RepairReport,
    Retain,
    Stats,
    Step,
    Verification,
)
from agentmem.types.pictured import pictured

_AUTOMATIC = "episode-"


class Memory(Owned, Ruled, redacting.Redacts, Awaited):
    """An agent's memory: one file, seen from one namespace. Open it with `Memory.open`; safe to use from any thread.

    Views made by `scoped` share the file: closing any of them closes it for all.
    """

    def __init__(
        self,
        core: Core,
        namespace: Namespace,
        read: Sequence[Namespace],
        condenser: Condenser | None,
    ) -> None:
        self._core, self.namespace, self._condenser = core, namespace, condenser
        self.namespaces: tuple[Namespace, ...] = tuple(dict.fromkeys((namespace, *read)))

    @classmethod
    def open(
        cls,
        path: str | Path,
        *,
        namespace: Sequence[str] = (),
        encoder: object = DEFAULT,
        condenser: Condenser | None = None,
        clock: Callable[[], float] = time.time,
        retain: Retain | None = None,
        horizon: int | None = None,
        durability: Durability = "power",
        key_file: str | Path | None = None,
        passphrase: Callable[[], str] | None = None,
        read_only: bool = False,
        access_log: bool | None = None,
        untrusted: float = SHARE,
    ) -> Memory:
        """Open a memory, or make a new one.

        path: a file, or ":memory:" for one that is gone when closed. encoder: an object with `encode` (or a LangChain
        Embeddings), None for lexical recall only; the default is static, offline and needs no torch. condenser: writes
        units and clusters in place of ours. clock: seconds since 1970. retain "keep" holds every step losslessly;
        "crystals" holds all files to 0.2 MB plus 1.0 MB per million tokens, the newest `horizon` tokens whole.
        access_log: note every recall and read in the file, fixed when it is made; read_only, such a file lets nothing
        be read. durability "power": what `log`
        acknowledged is on the disk; "process": it survives a killed process. key_file: of an encrypted memory, made
        with a new one; passphrase: wraps its keys, as AGENTMEM_KEY in the environment does. untrusted: the share of a
        planning context's budget, 0..1, that text of trust "web" may take; it is quoted. Raises StoreError's kinds for
        a file that cannot be used, SettingsError for settings that contradict the file's own.
        """
        checks.check_opening(path, clock, condenser)
        checks.check_settings(retain, horizon, key_file, passphrase, untrusted)
        settings = {"retain": retain, "horizon": None if horizon is None else str(horizon)}
        if access_log is not None and check_flag("access_log", access_log):
            settings["access_log"] = "True"
        scope, checked = check_namespace(namespace), resolve(encoder)
        keys = None if key_file is None else str(key_file)
        admit = redacting.Admission()
        store = open_store(str(path), durability, read_only, settings, terms_of, admit, keys, passphrase)
        try:
            core = Core(store, checked, checks.checked_clock(clock), read_only, untrusted, admission=admit)
            if access_log is False and core.keeps_accesses:
                raise SettingsError(f"{path} keeps a log of accesses, fixed when it was made; leave access_log out")
            condensing.restore(core, store, condenser)
        except BaseException:
            store.close()
            raise
        return cls(core, scope, (), condenser)

    # ---- writing -------------------------------------------------------------------------------------------------

    def episode(self, goal: str | None = None, id: str | None = None, agent: str | None = None) -> EpisodeWriter:
        """Begin an episode, or resume the one with this id. Ends, and crystallizes, as a `with` block is left."""
        check_goal("goal", goal)
        check_goal("agent", agent)
        if id is None:
            return EpisodeWriter(self, self._begin_numbered(goal, agent))
        begun = self._begin(check_name("episode id", id), goal, agent)
        if begun is not None:
            return EpisodeWriter(self, begun)
        if (known := self._known(id)) is None:
            raise KeyConflictError(f"episode {id!r} was erased and cannot begin again; use another id")
        return self._resume(known, self._masked(goal), self._masked(agent))

    def _begin_numbered(self, goal: str | None, agent: str | None) -> Episode:
        with self._core.lock:
            number = len(self._core.index(self.namespace).episodes) + 1
            while (begun := self._begin(f"{_AUTOMATIC}{number}", goal, agent)) is None:
                number += 1
            return begun

    def _begin(self, name: str, goal: str | None, agent: str | None) -> Episode | None:
        """Begin an episode; None if there is, or was, one of this name, or another writer was first."""
        if self._known(name) is not None:
            return None
        body = canonical({what: said for what, said in (("goal", goal), ("agent", agent)) if said is not None})
        record = Record("begin", self.namespace, name, body=body, key=begin_key(name), logged_at=self._core.clock())
        try:
            (logged,) = self._core.store.append([record])
        except KeyConflictError:
            return None
        return self._known(name) if logged.logged_at == record.logged_at else None

    def _resume(self, known: Episode, goal: str | None, agent: str | None) -> EpisodeWriter:
        for what, old, new in (("goal", self._masked(known.goal), goal), ("agent", self._masked(known.agent), agent)):
            if new is not None and new != old:
                has = f"no {what}" if old is None else f"the {what} {brief(old)}"
                raise InvalidInputError(
                    f"episode {known.id!r} has {has}, not {brief(new)}; leave it out to resume, or give another id"
                )
        if known.ended is not None:
            again = Record("begin", self.namespace, known.id, logged_at=self._core.clock())
            self._core.store.append([again])
        writer = EpisodeWriter(self, known.model_copy(update={"ended": None}))
        writer.remember_recalls()
        return writer

    def crystallize(self, progress: condensing.Progress | None = None) -> CrystallizeReport:
        """Make crystals of what was logged since the last time. Idempotent; an interrupted run goes on where it was.

        progress: called with (records read, records to read). Raises CondenseError if the condenser fails.
        """
        if progress is not None:
            checks.check_function("progress", progress, "of records read and records to read")
        condensing.reencode(self._core, self.namespace)
        report = condensing.crystallize(self._core, self.namespace, self._condenser, progress)
        retention.settle(self._core)
        return report

    # ---- reading -------------------------------------------------------------------------------------------------

    def recall(
        self,
        cue: str,
        budget: int = 1024,
        as_of: recalling.AsOf = None,
        count_tokens: CountTokens | None = None,
        episode: str | None = None,
        agent: str | None = None,
        layers: Sequence[Layer | str] | None = None,
        marks: bool = False,
    ) -> PlanningContext:
        """The planning context for a cue, of at most `budget` tokens. Writes nothing.

        cue: a question, or what goes on; a text in double quotes is looked for as such. as_of: a step id or a time of
        logging (datetime or ISO; naive means UTC): what was known then. count_tokens: the counter the budget is exact
        by; without one, an upper bound of cl100k's. episode, agent: only their steps. layers: only these crystals' own
        text, never expanded. marks: print each line's id. An empty context means that nothing matches. Raises
        InvalidInputError, and NotFoundError for an as_of, episode or agent that never was.
        """
        checks.check_asked(self._core, self.namespaces, as_of, layers, episode, agent)
        query = recalling.query_of(cue, budget, count_tokens, layers, episode, agent, marks)
        core = self._accessed("recall", cue, everywhere=True)
        return recalling.run(core, self.namespaces, query, as_of)

    def rank(
        self,
        cue: str,
        as_of: recalling.AsOf = None,
        episode: str | None = None,
        agent: str | None = None,
        layers: Sequence[Layer | str] | None = None,
        weights: Weights | None = None,
        matching: bool = True,
    ) -> Iterator[Hit]:
        """The steps, or the crystals of these layers, that recall would choose from: whole, best first, read as far as
        one looks. Arguments as `recall`. weights: of each signal. matching: none at all where nothing matches the cue.
        """
        checks.check_asked(self._core, self.namespaces, as_of, layers, episode, agent)
        query = recalling.query_of(cue, 1, None, layers, episode, agent, False, weights=weights)
        core = self._accessed("rank", cue, everywhere=True)
        return recalling.ranked(core, self.namespaces, query, as_of, check_flag("matching", matching))

    def step(self, id: str) -> Step:
        """The step with an id; NotFoundError if it is not in this namespace."""
        check_id("id", id)
        self._accessed("step", id)
        with self._core.lock:
            (position,) = removal.chosen(self._core, self.namespace, [id], None)
        return step_of(self._core.store.read([position])[0])

    def expand(self, id: str) -> list[Step]:
        """The steps that a crystal condenses, in log order, or the one step of this id; NotFoundError for none."""
        self._accessed("expand", check_id("id", id))
        with self._core.lock:
            positions = removal.behind(self._core, self.namespace, check_id("id", id))
        return list(map(step_of, self._core.store.read(positions)))

    def steps(self, episode: str | None = None) -> Iterator[Step]:
        """Every step, or an episode's, in log order; NotFoundError for an episode that never began."""
        checks.check_filters(self._core, [self.namespace], episode)
        self._accessed("steps", episode)
        records = self._core.store.scan(self.namespace, episode=episode, types=["step"])
        return map(step_of, records)

    def episodes(self) -> list[Episode]:
        """Every episode, in the order they began."""
        with self._core.lock:
            return list(self._core.index(self.namespace).episodes.values())

    def crystals(self, layers: Sequence[Layer | str] | None = None, as_of: recalling.AsOf = None) -> list[Crystal]:
        """The crystals that hold as of a step or time, in the order they were sealed, with their trust."""
        checks.check_asked(self._core, [self.namespace], as_of, layers)
        self._accessed("crystals")
        with self._core.lock:
            position = recalling.position_of(self._core, [self.namespace], as_of)
            return crystals_of(self._core, self.namespace, recalling.layers_of(layers), position)

    def blob(self, digest: str) -> bytes:
        """The content of a blob by the digest in `Step.blobs`; NotFoundError if no step of this namespace has it."""
        self._accessed("blob", check_name("digest", digest))
        return self._core.blob(self.namespace, digest)

    def scoped(self, *namespace: str, read: Sequence[Sequence[str]] = ()) -> Memory:
        """A view of exactly this namespace; `read` adds namespaces that recall may read as well."""
        own, others = check_namespace(namespace), checks.check_several("read", read, "namespaces")
        view = Memory(self._core, own, [check_namespace(other) for other in others], self._condenser)
        view.who = self.who
        return view

    # ---- attachments ---------------------------------------------------------------------------------------------

    def attach(self, name: str, content: bytes) -> None:
        """Keep bytes under a name in this namespace, in the place of those there were; durable as a step is.

        For what belongs to this memory and cannot be made again from its log, such as the state of a neural memory.
        Raises TooLargeError over 256 MiB.
        """
        self._core.store.attach(self.namespace, check_name("name", name), content)
        self._note("attach", name, bytes=len(content))

    def attachment(self, name: str) -> bytes:
        """The bytes of this name, checked; NotFoundError if there are none, DamagedError if they were changed."""
        if check_name("name", name) not in (there := self._core.store.attachments(self.namespace)):
            where = f" in namespace {self.namespace}" if self.namespace else ""
            raise NotFoundError(f"there is no attachment {brief(name)}{where}; {checks.instead(name, list(there))}")
        self._accessed("attachment", name)
        return self._core.store.attachment(self.namespace, name)

    def attachments(self) -> dict[str, int]:
        """Name -> number of bytes of every attachment of this namespace, by name."""
        return self._core.store.attachments(self.namespace)

    def detach(self, name: str) -> None:
        """Remove an attachment from the file for good; NotFoundError if there is none."""
        if check_name("name", name) not in (there := self._core.store.attachments(self.namespace)):
            raise NotFoundError(f"there is no attachment {brief(name)} to detach; {checks.instead(name, list(there))}")
        self._core.store.detach(self.namespace, name)
        self._note("detach", name)

    # ---- the file ------------------------------------------------------------------------------------------------

    def verify(self) -> Verification:
        """Check every stored byte against its hash, the log against its anchor, and what was made against the log."""
        problems, checked = self._core.store.verify()
        return Verification(ok=not problems, problems=tuple(problems), checked=checked)

    def repair(self, backup: str | Path | None = None, dry_run: bool = False) -> RepairReport:
        """Make again what is damaged and can be made from the log, and note as lost the steps that nothing can prove.

        backup: an older copy, for those steps. `agentmem.memory.repair(path)` is for a memory that does not open.
        """
        report = repair_open(self._core, backup, dry_run, self._again)
        if report.problems and not dry_run:
            told = {"restored": len(report.restored), "lost": len(report.lost)}
            self._note("repair", "" if backup is None else str(backup), whole=True, **told)
        return report

    def stats(self) -> Stats:
        """Tokens per layer with their ratios, and bytes by part."""
        with self._core.lock:
            return retention.stats(self._core, self.namespace)

    def head(self) -> Head:
        """The end of the log, over all namespaces."""
        return self._core.store.head()

    def export(self, path: str | Path, derived: bool = False) -> None:
        """Write this namespace's log as UTF-8 JSONL, a step a line in log order.

        derived: then the crystals and attachments as well.
        """
        target, whole = check_path("path", path), check_flag("derived", derived)
        check_target(target, self._core.store.path)
        self._accessed("export", str(path))
        export(self._core.store, [self.namespace], target, whole)
        self._note("export", str(path), derived=derived)

    def backup(self, path: str | Path) -> None:
        """A verified copy of the whole file at a new path, while others go on writing."""
        target = str(check_path("path", path))
        accounts.access(self._core, "backup", self.who, [None], target)
        self._core.store.backup(target)
        self._note("backup", str(path), whole=True)

    def close(self) -> None:
        """Close the file, for every view of it."""
        self._core.store.close()

    def __enter__(self) -> Memory:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _repr_html_(self) -> str:
        return pictured(self)

    # ---- small things --------------------------------------------------------------------------------------------

    def _note(self, what: str, name: str, whole: bool = False, **detail: Any) -> None:
        """Note a change in the ledger: of what a name or path says no more than a digest."""
        if not self._core.read_only:
            told = {"name": accounts.digest_of(self._core, name), **detail}
            accounts.note(self._core, what, self.who, None if whole else self.namespace, **told)

    def _known(self, name: str) -> Episode | None:
        with self._core.lock:
            return self._core.index(self.namespace).episodes.get(name)


def check_memory(memory: object) -> Memory:
    """InvalidInputError for what is no Memory, such as the path of one."""
    if not isinstance(memory, Memory):
        raise InvalidInputError(f"memory {brief(memory)} is no Memory; open one: Memory.open(path)")
    return memory
