"""`agentmem bench fit DATA...`: the weights of recall, fitted on one part of labelled histories, told by the other.

    ready      memories and questions, ready to be asked again and again with other weights
    search     what is aimed at, and the coordinate search for it
    summary    scores of both parts as a value that JSON can hold
    report     the same as Markdown
    command    arguments, progress, where results go

Fits nothing by name: a history counts by its number in its file, a question by what it is labelled.
"""

from agentmem.bench.fit.command import main

__all__ = ["main"]
