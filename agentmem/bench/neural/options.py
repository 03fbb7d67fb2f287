"""The arguments of `agentmem bench neural NAME`: what each measurement is asked, and how its words are read.

Loads no torch, so that a mistyped option is refused at once. Knows nothing of how it is measured.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass

from agentmem.bench.arguments import amount, path_of, positive, some_of
from agentmem.errors import in_brief

MOST = 1_600_000_000
"""Tokens of a stream: a memory numbers some more."""
PEERS = ("windowed", "transformer-xl", "compressive", "rmt", "infini", "block-recurrent", "mingru", "memorizing")
"""Names in agentmem.bench.neural.peers."""
SECONDS = 300
"""Of processor time that a peer of the recall task trains."""
MOST_AT_ONCE = 100_000
"""Tokens written at once: their hidden states take some kilobytes each."""
SIZES = (0, 1_024, 4_096, 16_384, 65_536)
"""Of memory, in tokens, that losses are told at."""
SAVED = "a model that TokenModel.save wrote; the package's own"
TAUS = (100_000.0, 10_000.0, 1_000.0)
EXPONENTS = (0.125, 0.25, 0.5, 1.0, 2.0)
"""Of the decays that are fitted."""


@dataclass(frozen=True)
class Asked:
    """about: in a line; notes: below the arguments; add: declares these."""

    about: str
    notes: str
    add: Callable[[argparse.ArgumentParser], None]


def tokens(text: str, least: int = 1) -> int:
    """An amount of tokens, such as 10k, 1m or 2500."""
    return amount(text, MOST, least)


def at_once(text: str) -> int:
    """An amount of tokens that are written together."""
    return amount(text, MOST_AT_ONCE)


def amounts(text: str, least: int = 1) -> list[int]:
    """Amounts with commas between. That of 1,000 is refused, for it would be two."""
    parts = text.split(",")
    if any(len(part) > 1 and part.startswith("0") for part in parts[1:]):
        raise argparse.ArgumentTypeError(
            f"{in_brief(text)}: commas stand between amounts, and none begins with 0; write 1000 or 1k for 1,000"
        )
    return [tokens(part, least) for part in parts]


def one_seed(text: str) -> int:
    """A whole number."""
    if not text.isdecimal() or len(text) > 9:
        raise argparse.ArgumentTypeError(f"{text!r} is no seed; write a whole number from 0 to 999999999")
    return int(text)


def seeds(text: str) -> list[int]:
    """Whole numbers with commas between, each once."""
    return list(dict.fromkeys(map(one_seed, text.split(","))))


def add_common(parser: argparse.ArgumentParser, questions: int, what: str, model: str = SAVED) -> None:
    """Arguments of all measurements. questions: how many by default; what: of what there are so many; model: what
    --checkpoint is of.
    """
    add = parser.add_argument
    add("--questions", type=positive, default=questions, metavar="N", help=f"{what}; {questions}")
    add("--seed", type=seeds, default=[0], metavar="S,S", help="of streams and questions, one run each; 0")
    add_files(parser, model)


def add_files(parser: argparse.ArgumentParser, model: str = SAVED) -> None:
    """model: what --checkpoint is of."""
    add = parser.add_argument
    add("--checkpoint", type=path_of, metavar="FILE", help=model)
    add("--json", action="store_true", help="print results as JSON")
    add("--out", type=path_of, metavar="DIR", help="write results.json, results.md and pictures here")


def sizes_of(text: str) -> list[int]:
    """Amounts with commas between, 0 among them; ascending, each once."""
    return sorted(set(amounts(text, least=0)))


def _recall(parser: argparse.ArgumentParser) -> None:
    of = parser.add_argument
    of("--tokens", type=amounts, default=[1_000_000], metavar="N,N", help="of a stream: 100k,1m,10m; 1m")
    of("--facts", type=amounts, metavar="M,M", help="in a stream, one number for each of tokens; one in 100 tokens")
    add_common(parser, 200, "asked of each kind")
    of("--peers", type=some_of(PEERS), default=[], metavar="NAME,NAME", help=", ".join(PEERS))
    of("--seconds", type=positive, metavar="S", help=f"of processor time that each peer trains; {SECONDS}")


def _cost(parser: argparse.ArgumentParser) -> None:
    of = parser.add_argument
    usual = [1_000, 10_000, 100_000, 1_000_000]
    of("--sizes", type=amounts, default=usual, metavar="N,N", help="tokens before: 1k,10k,100k,1m; 10m too")
    of("--repeats", type=positive, default=15, metavar="N", help="turns; 15")
    of("--chunk", type=at_once, default=1_000, metavar="N", help="tokens written at once, 100k at most; 1000")
    of("--seed", type=one_seed, default=0, metavar="S", help="of the stream; 0")
    add_files(parser)


def _quantisation(parser: argparse.ArgumentParser) -> None:
    of = parser.add_argument
    of("--tokens", type=tokens, default=1_000_000, metavar="N", help="of a stream; 1m")
    of("--facts", type=amounts, metavar="M,M", help="in a stream: sparse, dense; one in 1000 tokens and in 100")
    add_common(parser, 200, "asked at each precision and budget")


def _decay(parser: argparse.ArgumentParser) -> None:
    of = parser.add_argument
    of("--tokens", type=tokens, default=1_000_000, metavar="N", help="of a stream; 1m")
    of("--facts", type=tokens, metavar="M", help="in a stream; as many as the budget has atoms, one in 400 tokens")
    of("--fit-on", type=one_seed, default=1_000, metavar="S", help="seed of the stream that decay is fitted on; 1000")
    add_common(parser, 100, "asked of each group of ages, and half way")


def _task(parser: argparse.ArgumentParser) -> None:
    of = parser.add_argument
    of("--tokens", type=amounts, default=[1_003, 10_000, 100_000], metavar="N,N", help="of a stream; 1003,10k,100k")
    of("--text", nargs="+", default=[], metavar="PATH", help="books that stories are told in")
    model = "a model that `agentmem train neural task` made; needed"
    add_common(parser, 100, "asked for each size and seed, in up to 20 streams", model)


def _lm(parser: argparse.ArgumentParser) -> None:
    of = parser.add_argument
    of("files", nargs="+", metavar="FILE", help="documents that no model was trained on")
    of("--sizes", type=sizes_of, default=list(SIZES), metavar="N,N", help="of memory, in tokens; 0,1024,...,65536")
    of("--models", type=path_of, metavar="DIR", help="of trained peers; those that come with the package")
    of("--train", type=path_of, metavar="DIR", help="train peers on what this training read")
    of("--peers", type=some_of(PEERS), metavar="A,B", help=f"that are trained: {', '.join(PEERS)}; windowed")
    of("--tokens", type=tokens, metavar="N", help="to train on; 3m")
    of("--seed", type=seeds, metavar="S,S", help="of peers that are trained; 0")
    add_files(parser, "a model that `agentmem train neural text` made; the package's own")


MEASUREMENTS = {
    "recall": Asked(
        "Exact answers after long streams, at what bytes and costs.",
        """\
A fact is 6 tokens among filler of the same symbols; chance is 1 in 4,096. What
is printed as JSON:

  exact                share of questions whose two symbols are both right
  exact_int8, _fp32    the same, with atoms of 8 and 32 bits a number
  latest               of keys set anew, in a second stream
  earlier              the value before, asked as of then
  asked, asked_latest, questions: no fact is asked for twice, so they are fewer
  asked_earlier        than --questions where there are not so many
  atom_bytes           of the atoms; resident_bytes: and of all else remembered;
                       memory_bytes: and of the transformer's windows
  bytes_per_token      memory_bytes by tokens
  budget               bytes of atoms at most: 100 for every 100 tokens
  write_us_per_token,  microseconds of processor time on one thread
  read_us_per_token

One stream gives these at the top; "runs" has those of each stream, "rows" means
over seeds. With --out, "ages" has what is recalled of the longest streams by
the age of a fact: up to 100 asked of each group and seed, whatever --questions.
Peers are built with as many parameters, and trained on streams of up to 903
tokens as dense as those asked.
""",
        _recall,
    ),
    "cost": Asked(
        "What a token costs as the memory grows.",
        """\
Medians of processor time on one thread, of --repeats turns over all sizes:

  write   us a token, of --chunk tokens written at once after so many
  read    us a token of ten questions at once, with all of the memory in reach
  step    us for one token alone: written, all of the memory read, reinforced

Ratios are to the smallest size.
""",
        _cost,
    ),
    "quantisation": Asked(
        "Recall by bits of a number, and by bytes of atoms.",
        """\
Atoms of one stream at 1 bit, int8 and fp32 a number; then 1-bit atoms under
budgets of a half, a quarter and an eighth of all their bytes. Evicted, as the
stream goes on, is the least of importance x decay.
""",
        _quantisation,
    ),
    "decay": Asked(
        "What is recalled by what is evicted, at equal bytes.",
        f"""\
The budget is a quarter of the stream's atoms. Evicted is the least of
importance x decay:

  random     importance by lot
  surprise   by rank: the model's -log p of the atom's tokens, mean or most
  learned    the importance that the model wrote
  read       learned, and reinforced by reading: facts are asked for half way

  none       no decay
  fixed      (1 + age / tau) ^ -exponent with the settings of the checkpoint
  fitted     tau of {", ".join(f"{each:,.0f}" for each in TAUS)} and exponent of
             {", ".join(f"{each:g}" for each in EXPONENTS)}: the best on the
             stream of --fit-on

Exact is told with every fact as likely to be asked for (all), and with every
group of ages as likely (late): there a fact's odds fall about as 1 / age. Decay
is fitted to the second.
""",
        _decay,
    ),
    "task": Asked(
        "Exact answers on chains, counting, copying and stories.",
        """\
The model is one of `agentmem train neural task`; its file says on which. As
many facts are in a stream as in training: one in 100 tokens, where there is
room for more.

  agentmem train neural task chains --out runs/chains
  agentmem bench neural task --checkpoint runs/chains/model.safetensors
""",
        _task,
    ),
    "lm": Asked(
        "Loss on unseen text by tokens of memory, beside peers.",
        """\
FILE is a text file, or a folder of .txt and .md files that is one document,
longer than the longest memory. Judged are the last 1,024 tokens of each, after
a memory of its own text and after one of another; a single FILE is judged after
its own text alone, and without a cache of pairs beside it, which is fitted on
the others. All models have read the 512 tokens right before them, and ours
remembers these and the stretch itself at 0 too: "reading nothing" is ours
without any memory, told at 0. "read" is what a reading of ours is of, after the
longest memory: the shares of the null slot, units, clusters and atoms in its
weight.

Peers are those in --models, by default those of our own checkpoint, trained on
as many tokens, 3 million, and the windowed one also on 30. With
--train they are trained into it first, where they are not yet: on the documents
of a folder that `agentmem train neural text` made, with as many parameters as
our model. Text models in --models are measured too, as further trainings of
ours. Several seeds of a model are told as mean and standard deviation.
Ten documents take ours two to three minutes and each peer about five; --models
of an empty folder measures ours alone.

  agentmem bench neural lm a.txt b.txt --models rivals --train runs/text
""",
        _lm,
    ),
}
