"""Claims: what a step says that a later step may contradict, as key and value. No language model, generic forms only.

Knows forms of writing: `key: value` lines, JSON and call arguments, readings, places, things carried, files, outcomes,
what people say of themselves, dates. Knows nothing of the log: that a newer value of a key retires the old one, and an
equal one supports it, is decided by whoever gathers claims.

A key names its subject first, so that two people's claims never meet: `alice: favorite color`, `w123: status`,
`location`. Keys are casefolded with single spaces. Of several claims with one key in a step the last one holds.
"""

from __future__ import annotations

from agentmem.claims.data import calls, json_values, lines, said_lines
from agentmem.claims.form import Claim, Reader, Said, tidied
from agentmem.claims.people import dates, people
from agentmem.claims.world import files, outcomes, places, readings, said_readings, things
from agentmem.remembered import remembered
from agentmem.salience import AGENTS, Source

__all__ = ["Claim", "claims"]

LIMIT = 24  # claims of one step
_SCANNED = 20_000  # characters of a step that are read
_REMEMBERED = 1_000  # steps: a unit's claims are asked for again with its cluster

_PERSON: tuple[Reader, ...] = (dates, people, said_readings, said_lines)
_AGENT: tuple[Reader, ...] = (dates, said_readings, said_lines)
_DEED: tuple[Reader, ...] = (files, calls, json_values)
_WORLD: tuple[Reader, ...] = (places, things, outcomes, readings, files, json_values, lines)


def claims(source: Source, limit: int = LIMIT) -> list[Claim]:
    """The claims of one step in the order of its text: at most `limit`, the most telling forms first.

    Text that is not to be learned makes no claim. Pure, and never raises for any text.
    """
    said = Said(source.text[:_SCANNED], source.actor or "")
    return list(_claims(said, source.kind, source.skip, limit))


@remembered(_REMEMBERED)
def _claims(said: Said, kind: str, skip: tuple[tuple[int, int], ...], limit: int) -> tuple[Claim, ...]:
    found: dict[str, Claim] = {}
    for reader in _readers(kind, said.actor):
        fresh: dict[str, Claim] = {}
        for raw in reader(said):
            claim = tidied(raw)
            if claim and claim.key not in found and not _skipped(claim.span, skip):
                fresh[claim.key] = claim
        found |= dict(list(fresh.items())[: limit - len(found)])
    return tuple(sorted(found.values(), key=lambda claim: (claim.span, claim.key)))


def _readers(kind: str, actor: str) -> tuple[Reader, ...]:
    if kind == "message":
        return _AGENT if actor.casefold() in AGENTS else _PERSON
    return _DEED if kind == "action" else _WORLD


def _skipped(span: tuple[int, int], skip: tuple[tuple[int, int], ...]) -> bool:
    return any(span[0] < end and start < span[1] for start, end in skip)
