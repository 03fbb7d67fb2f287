"""How a memory does: tokens, bytes and ratios per layer, how it fades, and how long a recall takes. Knows a memory."""

from __future__ import annotations

import json
import time
from itertools import islice
from typing import Any

import numpy as np

from agentmem.decay import LAMBDA, TAU, decay
from agentmem.memory import Memory
from agentmem.viewer import asked
from agentmem.viewer.look import Look

CUES = 10  # recalls that are timed
CUE = 200  # characters of a cue that is a step's text
AGES = np.unique(np.concatenate([[0], np.logspace(2, 6, 33)]).round().astype(np.int64))
CURVES = ((1.0, 0), (3.0, 0), (1.0, 5))  # (salience, uses)


def health(look: Look, given: asked.Asked) -> dict[str, Any]:
    """What a namespace holds, and how it fades with age."""
    found = look.scoped(given.namespace).stats()
    layers = {
        str(name): {"crystals": one.crystals, "tokens": one.tokens, "source_tokens": one.source_tokens}
        for name, one in found.layers.items()
    }
    curves = [
        {"salience": salience, "uses": uses, "left": decay(AGES, salience, uses).round(4).tolist()}
        for salience, uses in CURVES
    ]
    return {
        **json.loads(found.model_dump_json(exclude={"layers"})),
        "layers": layers,
        "parts": found.parts(),
        "comparable": found.comparable(),
        "end": look.memory.head().position,
        "decay": {"tau": TAU, "lambda": LAMBDA, "ages": AGES.tolist(), "curves": curves},
    }


def latency(look: Look, given: asked.Asked) -> dict[str, Any]:
    """Milliseconds of recalls, of the cues that were recalled last, or else of the newest steps' texts."""
    scoped = look.scoped(given.namespace)
    cues, recorded = _cues(scoped)
    spent = []
    for cue in cues:
        began = time.perf_counter()
        scoped.recall(cue)
        spent.append(round((time.perf_counter() - began) * 1e3, 2))
    return {"milliseconds": spent, "recorded": recorded}


def _cues(scoped: Memory) -> tuple[list[str], bool]:
    """(cues, whether they are of recalls in the log)."""
    store = scoped._accessed("steps", None).store
    recalls = [record.text for record in store.scan(scoped.namespace, types=["recall"])][-CUES:]
    if recalls:
        return recalls, True
    newest = max(0, store.head().position - 20 * CUES)
    texts = (record.text for record in store.scan(scoped.namespace, newest, types=["step"]))
    return [text[:CUE] for text in islice(texts, CUES)], False
