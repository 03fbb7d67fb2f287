"""Logging what files hold: conversations, sessions of agents, documents, episodes of environments.

    ingest(memory, "chat.jsonl")              one file; its format is told by its content
    ingest(memory, ["docs", "logs/*.jsonl"])  folders and patterns
    ingest(memory, "x.json", format="openai", skip_bad=True, dry_run=True)

The formats stand in `formats.py`, each in a module of its own: `history` and `export` are agentmem's own lines,
`openai`, `chatgpt`, `langchain`, `claude` and `codex` conversations and sessions, `documents` and `texts` text in
pieces, `transitions` and `minari` episodes of environments. Every step has a key that is made of what the file says, so
repeating an ingest adds nothing, a file that grew adds what is new, and one that was interrupted can be run again.
Nothing here knows how steps are recalled.
"""

from agentmem.ingest.formats import FORMATS
from agentmem.ingest.report import BadLine, IngestReport, Passed
from agentmem.ingest.run import ingest, rehearse

__all__ = ["FORMATS", "BadLine", "IngestReport", "Passed", "ingest", "rehearse"]
