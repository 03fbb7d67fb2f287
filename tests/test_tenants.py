"""No tenant of a memory learns anything of another: whatever both do, each gets what it would get alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from tenants import OF_THE_FILE, OTHERWISE, VERBS, check

from agentmem import Memory
from agentmem.memory import EpisodeWriter


@pytest.mark.slow
def test_a_tenant_gets_what_it_would_get_alone(tmp_path: Path) -> None:
    tried = set().union(*(check(tmp_path, seed) for seed in range(14)))
    assert tried == set(VERBS)


@pytest.mark.slow
def test_thousands_of_tenants_get_what_they_would_get_alone(tmp_path: Path) -> None:
    for seed in range(14, 3_014):
        check(tmp_path, seed)


def test_every_public_verb_is_tried(tmp_path: Path) -> None:
    public = {name for kind in (Memory, EpisodeWriter) for name in dir(kind) if not name.startswith("_")}
    listed = {
        "steps",
        "episodes",
        "crystals",
        "attachments",
        "certificates",
        "accesses",
        "forgotten",
        "rules",
        "holds",
    }  # tried as one
    unknown = public - set(VERBS) - OF_THE_FILE - OTHERWISE - listed - {"episode"}
    assert not unknown, "try them in tenants.py, or say there why not"
