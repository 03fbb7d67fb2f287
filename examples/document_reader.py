"""Document reader: a million tokens are read once; each question is answered from 2,000 of them, with its source.

    python examples/document_reader.py                                      # the source of Python's standard library
    python examples/document_reader.py book.txt "Who owned the dog?" --model openai:gpt-4o

Memory gets the question, the model what memory finds, each piece with a mark; the piece of a mark knows its file and
lines. Without --model a rule answers: it quotes the three lines of its prompt that share most with the question.

Prints:

    Read 1,196,292 tokens of 168 files, kept in 3,054,912 bytes:
    5.1 s of processor time to log them, 20.1 s to crystallize.

    What is the period of the Mersenne Twister core generator?
      von Mises General notes on the underlying Mersenne Twister core generator: * The period is 2**19937-1.
      <s00000004425>
      source: random.py, lines 1 to 46
      prompt: 2,048 tokens
      without memory: The record does not say.

    If x is already in the list, where does insort_left insert it?
      def insort_left(a, x, lo=0, hi=None, *, key=None): Insert item x in list a, and keep it sorted assuming a is
      sorted. If x is already in a, insert it to the left of the leftmost x. <s00000001035>
      source: bisect.py, lines 53 to 66
      prompt: 2,039 tokens
      without memory: The record does not say.

    When does the entire program exit if there are daemon threads?
      main thread is not a daemon thread and therefore all threads created in the main thread default to daemon =
      False. The entire Python program exits when only daemon threads are left. <s00000005657>
      source: threading.py, lines 1195 to 1230
      prompt: 2,038 tokens
      without memory: The record does not say.

    How does one disable the heuristic that treats popular elements as junk?
      also .set_seqs() and .set_seq2(). Optional arg autojunk should be set to False to disable the "automatic
      junk heuristic" that treats popular elements as junk <s00000001713>
      source: difflib.py, lines 123 to 142
      prompt: 2,036 tokens
      without memory: The record does not say.
"""

import argparse
import re
import sysconfig
import tempfile
import textwrap
import time
from collections import Counter
from pathlib import Path

from langchain_core.messages import BaseMessage
from rich.console import Console
from rich.progress import Progress

from agentmem import Memory
from agentmem.errors import exit_with_message
from agentmem.ingest import ingest
from agentmem.langchain import chat_model
from agentmem.testing import ScriptedChatModel
from agentmem.tokens import count

LIBRARY = f"{sysconfig.get_path('stdlib')}/*.py"
QUESTIONS = [
    "What is the period of the Mersenne Twister core generator?",
    "If x is already in the list, where does insort_left insert it?",
    "When does the entire program exit if there are daemon threads?",
    "How does one disable the heuristic that treats popular elements as junk?",
]
SYSTEM = "Answer in a sentence from the record, and cite its marks, as <s00000000001>. If it does not say, say so."
BUDGET = 2_000
HEAD = re.compile(r"^\[.*\]\n|^\w+: |^\n", re.MULTILINE)  # what is no document's: "[file]", "observation: "
MARK = re.compile(r" <([a-z]\w{11,})>$", re.MULTILINE)


def rule(prompt: list[BaseMessage]) -> str:
    """The model of those who have none. A word counts less the more lines of the prompt have it."""
    record, _, question = str(prompt[-1].text).rpartition("Question: ")
    parts = MARK.split(record)  # a piece and its mark, in turn
    pieces = [(HEAD.sub("", piece).split("\n"), mark) for piece, mark in zip(parts[::2], parts[1::2], strict=False)]
    common = Counter(word for lines, _ in pieces for line in lines for word in words(line) & words(question))
    best, quoted = 0.0, "The record does not say."
    for lines, mark in pieces:
        for at in range(len(lines)):
            passage = " ".join(" ".join(lines[at : at + 3]).replace('"' * 3, " ").split())
            score = sum(1 / common[word] for word in words(passage) & words(question))
            if score > best:
                best, quoted = score, f"{passage} <{mark}>"
    return quoted


def words(text: str) -> set[str]:
    return set(re.findall(r"\w{4,}", text.lower()))


def asked(question: str, record: str) -> str:
    return str(model.invoke([("system", SYSTEM), ("user", f"{record}\n\nQuestion: {question}")]).text)


parser = argparse.ArgumentParser(description="Read documents into a memory, and ask for what stands in them.")
parser.add_argument("path", nargs="?", default=LIBRARY, help="a file, a folder or a pattern")
parser.add_argument("questions", nargs="*", default=QUESTIONS)
parser.add_argument("--memory", help="a file to keep it in, which a second run reads in a moment")
parser.add_argument("--model", help="such as openai:gpt-4o")
options = parser.parse_args()
with exit_with_message():
    model = chat_model(options.model) if options.model else ScriptedChatModel(script=rule)

with (
    exit_with_message(),
    tempfile.TemporaryDirectory() as folder,
    Memory.open(options.memory or Path(folder) / "read.mem", durability="process") as memory,
):
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("logging")
        began = time.process_time()
        ingest(memory, options.path, progress=lambda done, of: bar.update(task, completed=done, total=of))
        task = bar.add_task("crystallizing")
        logged = time.process_time()
        memory.crystallize(progress=lambda done, of: bar.update(task, completed=done, total=of))

    crystallized, stats = time.process_time(), memory.stats()
    print(f"Read {stats.tokens:,} tokens of {stats.episodes:,} files, kept in {stats.bytes['total']:,} bytes:")
    print(f"{logged - began:.1f} s of processor time to log them, {crystallized - logged:.1f} s to crystallize.")
    for question in options.questions:
        context = memory.recall(question, BUDGET, marks=True)
        answer = asked(question, context.text)
        print(f"\n{question}")
        print(textwrap.fill(answer, 110, initial_indent="  ", subsequent_indent="  "))
        for hit in context.hits:
            if f"<{hit.id}>" in answer:
                where = memory.expand(hit.id)[0].data
                print(f"  source: {where['file']}, lines {where['lines'][0]} to {where['lines'][1]}")
        print(f"  prompt: {count(SYSTEM + context.text + question):,} tokens")
        print(f"  without memory: {asked(question, '')}")
