"""`agentmem bench environments NAME`: which measurement, and where its results go."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module

from agentmem.bench.arguments import chosen_of, goes_on, parser_of
from agentmem.bench.environments.options import MEASUREMENTS
from agentmem.bench.printed import json_of


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, then print Markdown, or JSON. Raises InvalidInputError for what does not fit, before anything is run;
    MissingExtraError without torch.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    about = "What policies with a memory reach in environments that need one."
    name = chosen_of("environments", about, MEASUREMENTS, words)
    asked = MEASUREMENTS[name]
    parser = parser_of(f"environments {name}", asked.about, asked.notes)
    asked.add(parser)
    parser.add_argument("--json", action="store_true", help="print results as JSON")
    options = parser.parse_args(words[1:])
    from agentmem.neural.runs import use_threads  # without torch it says the line that installs it

    use_threads(1)
    one = import_module(f"agentmem.bench.environments.{name}")
    with goes_on(getattr(options, "out", None)):
        results = one.measure(options)
    print(json_of(results) if options.json else one.markdown(results))
