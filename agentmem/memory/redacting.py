"""What is let into a log: records as the redaction of their namespace has them, before anything is written.

The store calls an Admission for all that it appends, so there is no other way in. Knows which parts of a record are
texts (masked), which are names (refused, since a masked name would be another's) and which are left alone: namespaces,
and the contents of blobs and attachments. Knows policies; what is found in a text is known to `agentmem.redact`.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from agentmem.errors import InvalidInputError, RefusedError
from agentmem.memory.checks import check_function, check_several
from agentmem.records import brief, canonical
from agentmem.redact import Analyser, Pattern, Redaction, placeholder
from agentmem.terms import measured
from agentmem.types import Namespace, Record

if TYPE_CHECKING:
    from agentmem.memory.core import Core

SAID = ("goal", "agent", "reason", "note")
"""Texts in the body of an episode's beginning, of what is forgotten or held, and of consent."""
NUMBERED = re.compile(r"episode-[0-9]{1,9}")
"""An episode's id that was not given, and says nothing."""
SETTING = "redaction"
SettingOf = Callable[[Namespace], str | None]
"""The policy of a namespace as it is stored; None where there is none."""


@dataclass
class Admission:
    """Lets records into a log. analyser: finds what has no form, such as names; of this process, not of the file."""

    analyser: Analyser | None = None

    def __call__(self, records: Sequence[Record], setting_of: SettingOf) -> list[Record]:
        """The records as they may be written. Raises RefusedError, and SettingsError where the analyser is missing."""
        policies: dict[Namespace, Redaction] = {}
        admitted = list[Record]()
        for record in records:
            if (policy := policies.get(record.namespace)) is None:
                policy = policies[record.namespace] = Redaction.read(setting_of(record.namespace))
            if policy.on and policy.suspects("\n".join(_parts(record))):
                where = f"record {len(admitted)}: " if len(records) > 1 else ""
                record = _Reading(policy, self.analyser, record.namespace, where).record(record)
            admitted.append(record)
        return admitted

    def masked(self, text: str, setting: str | None) -> str:
        """A text that is not written, such as a question, as it would be if all that is refused were masked."""
        return Redaction.read(setting).mask(text, analyser=self.analyser).text

    def check_name(self, what: str, name: str, namespace: Namespace, setting: str | None) -> None:
        """RefusedError for the name of something that holds what may not be written."""
        _Reading(Redaction.read(setting), self.analyser, namespace, "").name(what, name)


@dataclass
class _Reading:
    """One record being read. counts: of what was masked so far, by kind."""

    policy: Redaction
    analyser: Analyser | None
    namespace: Namespace
    where: str
    counts: Counter[str] = field(default_factory=Counter)

    def record(self, record: Record) -> Record:
        body: dict[str, Any] = json.loads(record.body)
        self._names(record, body)
        text, spans = self._spanned(record.text, body.get("recalled", ()), refusing=record.type != "recall")
        body |= {"recalled": [list(span) for span in spans]} if spans else {}
        body |= {name: self.text(name, body[name]) for name in SAID if isinstance(body.get(name), str)}
        if "data" in body:
            body["data"] = self.value("data", body["data"])
        if "blobs" in body:
            body["blobs"] = self._keys("blobs", body["blobs"])
        actor = None if record.actor is None else self.text("actor", record.actor)
        if not self.counts:
            return record
        body["masked"] = dict(Counter(body.get("masked", {})) + self.counts)
        tokens, terms = measured(text) if record.type == "step" else (record.tokens, record.terms)
        return replace(record, text=text, body=canonical(body), actor=actor, tokens=tokens, terms=terms)

    def _names(self, record: Record, body: Mapping[str, Any]) -> None:
        if record.type == "step" and record.key is not None:
            self.name("key", record.key)
        if record.episode is not None and not NUMBERED.fullmatch(record.episode):
            self.name("episode id", record.episode)
        for subject in body.get("subjects", ()):
            self.name("subject", subject)
        if record.type == "hold" and body.get("held"):  # one that was made before can be lifted
            self.name("name of the hold", body["name"])
        for said in (body, *body.get("rules", ())) if record.type in ("hold", "rules") else ():
            for what in ("subject", "agent"):
                if isinstance(said.get(what), str):
                    self.name(f"{what} of the {record.type.removesuffix('s')}", said[what])

    def name(self, what: str, name: str) -> None:
        """RefusedError if a name holds anything that is not off: masked, it would be the name of something else."""
        for one in self.policy.find(name, self.analyser):
            raise RefusedError(
                f"{self.where}the {what} holds {_one(one.kind)}{_in(self.namespace)}, and a name cannot be masked; use "
                "another"
            )

    def text(self, what: str, text: str) -> str:
        return self._spanned(text, (), what)[0]

    def _spanned(
        self, text: str, spans: Iterable[Sequence[int]], what: str = "text", refusing: bool = True
    ) -> tuple[str, list[tuple[int, int]]]:
        """A text masked, and spans of it where they stand then."""
        for one in self.policy.find(text, self.analyser) if refusing else ():
            self._check(what, one.kind, f" at characters {one.start} to {one.end}")
        masked = self.policy.mask(text, spans, self.analyser)
        self.counts.update(masked.counts)
        return masked.text, masked.spans

    def _check(self, what: str, kind: str, at: str = "") -> None:
        if self.policy.every.get(kind) == "refuse":
            raise RefusedError(
                f"{self.where}{what} holds {_one(kind)}{at}, which is refused{_in(self.namespace)}; take it out, or "
                f"have it masked: memory.redaction({{{kind!r}: 'mask'}})"
            )

    def value(self, what: str, value: Any, names: Sequence[str] = ()) -> Any:
        """JSON with its strings masked. names: the key it stands under, and the flags in front of it."""
        if isinstance(value, str):
            kind = next(filter(None, (self.policy.named(name, value) for name in names)), None)
            if kind is None:
                return self.text(what, value)
            self._check(what, kind)
            self.counts[kind] += 1
            return placeholder(kind)
        if isinstance(value, dict):
            return self._keys(what, {key: self.value(what, inner, (key,)) for key, inner in value.items()})
        if isinstance(value, list):
            behind = [(*names, one) if isinstance(one, str) and one.startswith("-") else names for one in value]
            return [self.value(what, inner, its) for inner, its in zip(value, [names, *behind], strict=False)]
        if isinstance(value, int) and abs(value) >= 10**11 and (said := self.text(what, str(value))) != str(value):
            return said
        return value

    def _keys(self, what: str, value: Mapping[str, Any]) -> dict[str, Any]:
        """A mapping with its keys masked, and numbered where they are the same then."""
        made: dict[str, Any] = {}
        for key, inner in value.items():
            said, number = self.text(what, key), 2
            while said in made:
                said, number = f"{self.text(what, key)} {number}", number + 1
            made[said] = inner
        return made


def _parts(record: Record) -> list[str]:
    """All that is looked at of a record."""
    return [part for part in (record.text, record.episode, record.key, record.actor, record.body) if part]


def _one(kind: str) -> str:
    words = kind.replace("_", " ")
    return f"{'an' if words[0] in 'aeio' else 'a'} {words}"


def _in(namespace: Namespace) -> str:
    return f" in namespace {brief(namespace)}" if namespace else ""


class Redacts:
    """The verb of a Memory that sets what it must not remember."""

    _core: Core
    namespace: Namespace

    def redaction(
        self,
        actions: Mapping[str, str] | None = None,
        *,
        patterns: Iterable[Pattern] | None = None,
        analyser: Analyser | None = None,
    ) -> Redaction:
        """Set what is done with secrets and personal data that are logged here from now on; returns what holds.

        actions: kind -> "off", "mask" or "refuse"; "secrets" and "personal" stand for all of theirs. patterns: of kinds
        of one's own, masked unless actions say otherwise, in the place of those there were; [] for none. Both are kept
        in the file, hold for every process, and for the namespaces below this one that have none of their own.
        analyser: from a text to (start, end, kind) of what it finds; it is this process's. What was logged before stays
        as it is: erase it. Raises InvalidInputError.
        """
        core = self._core
        given = None if patterns is None else list(check_several("patterns", patterns, "patterns"))
        if analyser is not None:
            check_function("analyser", analyser, "from a text to (start, end, kind) of what it finds")
        if actions is not None and not isinstance(actions, Mapping):
            raise InvalidInputError(f"actions {brief(actions)}: give a mapping such as {{'email': 'mask'}}")
        if wrong := [one for one in given or () if not isinstance(one, Pattern)]:
            raise InvalidInputError(f"patterns has {brief(wrong[0])}; give agentmem.redact.Pattern")
        now = Redaction.read(core.store.inherited(SETTING, self.namespace))
        if actions or given is not None:
            now = now.changed(actions or {}, given, (analyser or core.admission.analyser) is not None)
            core.store.put_setting(SETTING, now.write(), self.namespace)
        core.admission.analyser = analyser or core.admission.analyser
        return now

    def _masked(self, text: str | None) -> str | None:
        """An episode's goal or agent as it is logged here."""
        return None if text is None else self._core.masked(self.namespace, text)
