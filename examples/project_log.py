"""Project log: what was decided in a project and why, asked of its git history, answered with commit ids.

    python examples/project_log.py                                        # the repository that it is run in
    python examples/project_log.py path/to/project "Why did we drop Redis?" --model openai:gpt-4o

Logged is what every commit says, and each paragraph that it adds to a text (.md, .rst, .txt). Without --model a rule
answers: it quotes the message or paragraph in its prompt that shares most words with the question. The history below
is a made one of 1,000 commits (tests/projects.py), so that its ids are the same everywhere.

Prints:

    Logged 1,003 messages and paragraphs of 14,100 tokens.

    Why was SQLite chosen for orders?
      Ada: store: orders are kept in SQLite Chosen instead of Postgres: one machine, and nobody to run a server.
      <s00000000005>
      source: commit 178fed3632 of 04 January 2023
      prompt: 1,009 tokens
      without memory: The record does not say.

    Why was Redis taken out of the cart?
      Ada: cart: Redis is taken out again It was down twice in April, and a day's carts fit into the database.
      <s00000000807>
      source: commit 875680fdf8 of 13 March 2025
      prompt: 1,039 tokens
      without memory: The record does not say.

    Why is mail sent by a queue?
      decisions.md: Mail is sent by a queue in the database and not while the customer waits: the provider's
      timeouts made customers pay twice. <s00000000664>
      source: commit 35e2e37612 of 22 October 2024
      prompt: 1,028 tokens
      without memory: The record does not say.
"""

import argparse
import re
import subprocess
import textwrap
from collections import Counter
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

from langchain_core.messages import BaseMessage

from agentmem import Memory
from agentmem.errors import exit_with_message
from agentmem.langchain import chat_model
from agentmem.testing import ScriptedChatModel
from agentmem.tokens import count

SYSTEM = "Answer in a sentence from the record, and cite its marks, as <s00000000001>. If it does not say, say so."
BUDGET = 1_000
ASKED = 2  # questions, where none is given
COMMIT, FIELD = "\x1e", "\x1f"
HEAD = re.compile(r"^\[.*\]\n|^observation: ", re.MULTILINE)
MARK = re.compile(r" <([a-z]\w{11,})>$", re.MULTILINE)


def git(repository: Path, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(repository), *arguments], capture_output=True)
    if done.returncode:
        raise SystemExit(
            f"{repository}: {done.stderr.decode(errors='replace').strip()}; give the path of a git repository"
        )
    return done.stdout.decode(errors="replace")


def steps(repository: Path) -> Iterator[dict[str, Any]]:
    """What each commit says, and then every paragraph that it adds to a text, oldest first."""
    log = "log", "--no-merges", "--reverse", "--abbrev=10"
    texts = git(repository, *log, "-p", "-U0", f"--format={COMMIT}%h", "--", "*.md", "*.rst", "*.txt")
    added = dict(paragraphs(commit) for commit in texts.split(COMMIT)[1:])
    for commit in git(repository, *log, f"--format={COMMIT}%h{FIELD}%aI{FIELD}%an{FIELD}%B").split(COMMIT)[1:]:
        id, at, author, message = commit.split(FIELD)
        told = {"at": at, "data": {"commit": id}}
        yield {"text": message.strip() or "(no message)", "kind": "message", "actor": author, **told}
        yield from ({"text": text, "kind": "observation", **told} for text in added.get(id, ()))


def questions(repository: Path) -> list[str]:
    """What to ask where nothing is: of the words that stand together most often in the first lines of messages."""
    lines = git(repository, "log", "--no-merges", "--format=%s").lower().splitlines()
    pairs = Counter(pair for line in lines for pair in combinations(sorted(set(re.findall(r"[^\W\d_]{5,}", line))), 2))
    chosen: list[tuple[str, str]] = []
    for pair, _ in pairs.most_common():
        if len(chosen) < ASKED and not any(set(pair) & set(other) for other in chosen):
            chosen.append(pair)
    return [f"How are {one} and {other} tied?" for one, other in chosen]


def paragraphs(patch: str) -> tuple[str, list[str]]:
    """A commit's id, and what it adds: each paragraph in a line, with its file."""
    id, _, changes = patch.partition("\n")
    file, found = "", [""]
    for line in changes.splitlines():
        if line.startswith("+++ "):
            file = line.removeprefix("+++ b/")
        elif line[:1] == "+" and line[1:].strip():
            found[-1] = f"{found[-1]} {line[1:].strip()}" if found[-1] else f"{file}: {line[1:].strip()}"
        elif found[-1]:
            found.append("")
    return id, [text for text in found if text]


def rule(prompt: list[BaseMessage]) -> str:
    """The model of those who have none."""
    record, _, question = str(prompt[-1].text).rpartition("Question: ")
    parts = MARK.split(record)  # an entry and its mark, in turn
    entries = [
        (len(words(text) & words(question)), text, mark) for text, mark in zip(parts[::2], parts[1::2], strict=False)
    ]
    shared, text, mark = max(entries, default=(0, "", ""))
    return f"{' '.join(HEAD.sub('', text).split())} <{mark}>" if shared > 1 else "The record does not say."


def words(text: str) -> set[str]:
    return {word[:5] for word in re.findall(r"\w{4,}", text.lower())}


def asked(question: str, record: str) -> str:
    return str(model.invoke([("system", SYSTEM), ("user", f"{record}\n\nQuestion: {question}")]).text)


parser = argparse.ArgumentParser(description="Ask a git history what was decided, and why.")
parser.add_argument("path", nargs="?", default=".", type=Path)
parser.add_argument("questions", nargs="*", help="by default of what the messages name most often")
parser.add_argument("--model", help="such as openai:gpt-4o")
options = parser.parse_args()
with exit_with_message():
    model = chat_model(options.model) if options.model else ScriptedChatModel(script=rule)

with Memory.open(":memory:") as memory:
    with memory.episode("the history of a project", "history") as episode:
        episode.log_many(steps(options.path))
    print(f"Logged {memory.stats().steps:,} messages and paragraphs of {memory.stats().tokens:,} tokens.")
    for question in options.questions or questions(options.path):
        context = memory.recall(question, BUDGET, marks=True)
        answer = asked(question, context.text)
        print(f"\n{question}")
        print(textwrap.fill(answer, 110, initial_indent="  ", subsequent_indent="  "))
        for hit in context.hits:
            if f"<{hit.id}>" in answer:
                step = memory.expand(hit.id)[0]
                print(f"  source: commit {step.data['commit']} of {step.at:%d %B %Y}")
        print(f"  prompt: {count(SYSTEM + context.text + question):,} tokens")
        print(f"  without memory: {asked(question, '')}")
