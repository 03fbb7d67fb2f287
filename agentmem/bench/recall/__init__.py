"""`agentmem bench recall DATA...`: what a memory keeps and finds, by labelled evidence, beside floors of the same run.

    histories reading locomo longmemeval    files to histories: the common format, and two benchmarks' own
    metrics                          is the evidence there? is the answer? are the sessions?
    counting floors memories         what is measured: one system answers for one history
    tally measure summary            scores of every question, then means with intervals
    report pictures command          Markdown, PNG, arguments

No model judges anything: every score is a comparison of words, and can be read off by hand.
"""

from agentmem.bench.recall.command import main

__all__ = ["main"]
