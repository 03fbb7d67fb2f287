"""`agentmem bench integrations`: agentmem beside the memories that LangChain, LangGraph, Chroma and mem0 bring.

    rows race       which of the peers run, and their turns: appending, searching, bytes
    answers         what a peer found, packed into a budget as the floors of `bench recall` are
    report picture command

Evidence is scored by `bench.recall`, word by word, no model as judge.
"""

from agentmem.bench.integrations.command import main

__all__ = ["main"]
