"""Print what a LangChain agent at the desk of a shift has before it, by when memory is asked, for how much, and what.

    python scripts/agent_recall.py [--calls 400] [--seed 0] [--only NAME]

The model takes 8,000 tokens, half of which are the newest messages. It chooses the call whose values stand in its
prompt best. right: of the decisions that turn on something told 100 calls before or earlier. shown: of these, how often
that stood in the prompt. ms: processor time that memory adds to a call, p50.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, median
from typing import Any
from unittest.mock import patch

from langchain_core.messages import BaseMessage

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from agents import Timed, at_desk, begin, desk, thread

from agentmem import Memory
from agentmem.langchain.messages import turn_of, words_of
from agentmem.langchain.prompt import cue_of
from agentmem.langchain.thread import Thread


def with_request(messages: Sequence[BaseMessage]) -> str:
    """The cue with the user's request beside it."""
    return f"{cue_of(messages)}\n{words_of(messages[turn_of(messages)])}"


def newest(messages: Sequence[BaseMessage]) -> str:
    """What came last alone."""
    return words_of(messages[-1])


class Again(Timed):
    """Recalls the steps that the prompt shows, too."""

    def wrap_model_call(self, request: Any, handler: Any) -> Any:
        with patch.object(Thread, "positions", return_value=frozenset()):
            return super().wrap_model_call(request, handler)


NEVER: dict[str, Any] = {"when": lambda call: False}
ROWS: dict[str, dict[str, Any]] = {
    "never": NEVER,
    "start": {"when": "start"},
    "failures": {"when": "failures"},
    "start, trimmed": {},
    "always": {"when": "always"},
    "512 tokens": {"budget": 512},
    "2,048 tokens": {"budget": 2048},
    "cue: newest": {"cue": newest},
    "cue: and request": {"cue": with_request},
    "shown steps too": {"again": True},
    "512, shown too": {"again": True, "budget": 512},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=list(ROWS))
    asked = parser.parse_args()
    print(f"{'':18}{'decisions':>10}{'right':>8}{'shown':>8}{'prompt':>8}{'recalls':>9}{'ms':>7}")
    for name, options in ROWS.items() if asked.only is None else [(asked.only, ROWS[asked.only])]:
        print(f"{name:18}{row(asked.calls, asked.seed, options)}", flush=True)


def row(calls: int, seed: int, options: dict[str, Any]) -> str:
    memory = Memory.open(":memory:")
    kind = Again if options.get("again") else Timed
    given = {name: value for name, value in options.items() if name != "again"}
    place, mine = desk(calls, seed=seed), kind(memory, **given)
    agent, model = at_desk(place, [mine])
    agent.invoke(begin(place), thread())
    prompt = fmean(model.get_num_tokens_from_messages(prompt) for prompt in model.prompts)
    recalls = sum(1 for _ in memory._core.store.scan(types=["recall"]))
    spent = 1000 * median(one[1] + other[1] for one, other in zip(mine.spent[::2], mine.spent[1::2], strict=False))
    right, shown = fmean(place.right), fmean(place.shown)
    return f"{len(place.right):>10}{right:>8.3f}{shown:>8.3f}{prompt:>8,.0f}{recalls:>9}{spent:>7.1f}"


if __name__ == "__main__":
    main()
