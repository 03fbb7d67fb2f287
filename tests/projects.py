"""A small project's git history, the same on every machine, commit ids and all."""

from __future__ import annotations

import os
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

QUESTIONS = (
    "Why was SQLite chosen for orders?",
    "Why was Redis taken out of the cart?",
    "Why is mail sent by a queue?",
)
DECIDED = {
    3: "store: orders are kept in SQLite\n\nChosen instead of Postgres: one machine, and nobody to run a server.",
    241: "prices: cents as whole numbers\n\nFloats lost a cent in one of 400 invoices.",
    477: "cart: Redis holds open carts\n\nA cart is to outlive a restart.",
    520: "pages: templates instead of a JavaScript framework\n\nThere are nine pages, and a build took a minute.",
    802: "cart: Redis is taken out again\n\nIt was down twice in April, and a day's carts fit into the database.",
}
WRITTEN = 660
DECISIONS = """# Decisions

Mail is sent by a queue in the database and not while the customer waits: the provider's
timeouts made customers pay twice.

Backups go to the bakery next door, since one burglar does not visit both.
"""
COMMITS = 1_000
COLOURS = "red blue green white black".split()


def make_history(folder: Path, commits: int = COMMITS) -> None:
    """A repository in `folder`, a commit a day."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    init = ["git", "init", "--quiet", "--initial-branch=main", "--object-format=sha1"]
    subprocess.run(init, cwd=folder, env=clean, check=True)
    stream = "".join(map(commit, range(commits)))
    subprocess.run(["git", "fast-import", "--quiet"], cwd=folder, env=clean, input=stream.encode(), check=True)


def commit(number: int) -> str:
    """As `git fast-import` reads it."""
    at = datetime(2023, 1, 1, 12, tzinfo=UTC) + timedelta(days=number)
    message = DECIDED.get(
        number, f"stock: {7 * number % 31} tins of {COLOURS[number % 5]} paint on shelf {number % 13}"
    )
    file = ""
    if number == WRITTEN:
        message, file = "docs: what is decided", f"M 100644 inline decisions.md\n{data(DECISIONS)}"
    who = f"committer Ada <ada@example.com> {at.timestamp():.0f} +0000"
    return f"commit refs/heads/main\n{who}\n{data(message)}{file}\n"


def data(text: str) -> str:
    return f"data {len(text.encode())}\n{text}\n"
