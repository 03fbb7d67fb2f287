"""What asking over HTTP adds: log and recall through `agentmem serve`, and through the library, in turns on one file.

Knows the command line's server and its routes; starts it in a process of its own, on this machine.
"""

from __future__ import annotations

import argparse
import http.client
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from agentmem.bench.arguments import bars, parser_of, positive
from agentmem.memory import Memory

NOTES = """\
One step a request, at durability "power". Each time is the median of all requests of one client, one after another;
library and server take turns. Many: requests a second of so many clients at once.
"""
TEXT = "The parcel {n} for customer {m} was handed over at the back door; they asked for a receipt by mail."
CUE = "which parcel did customer {m} get?"
LOG, RECALL = "/v1/episodes/served/steps", "/v1/recall"


def parser() -> argparse.ArgumentParser:
    made = parser_of("server", "Milliseconds that the REST server adds to a log and to a recall.", NOTES)
    add = made.add_argument
    add("--requests", type=positive, default=300, metavar="N", help="of each kind; 300")
    add("--clients", type=positive, default=8, metavar="N", help="clients at once; 8")
    add("--json", action="store_true", help="print results as JSON")
    return made


class Client:
    """One connection to a server, with a token."""

    def __init__(self, port: int, token: str) -> None:
        self.line = http.client.HTTPConnection("127.0.0.1", port)
        self.headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}

    def post(self, path: str, asked: dict[str, Any]) -> bytes:
        self.line.request("POST", path, json.dumps(asked), self.headers)
        answer = self.line.getresponse()
        said = answer.read()
        assert answer.status in (200, 201), said
        return said


@contextmanager
def served(path: Path) -> Iterator[Callable[[], Client]]:
    """A server of a memory; makes clients of it."""
    from agentmem.server import new_token

    token = new_token(Path(f"{path}.tokens"), ())
    command = [sys.executable, "-m", "agentmem.cli", "serve", str(path), "--port", "0", "--rate", "1000000"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline().split(" at ")[1].split()[0].rpartition(":")[2])
        try:
            yield lambda: Client(port, token)
        finally:
            process.terminate()


def measure(n_requests: int, n_clients: int, done: Callable[[], None] = lambda: None) -> list[dict[str, Any]]:
    """A row for log, and one for recall: milliseconds by library and by server, and requests a second of many clients.

    done: called after each of four runs.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "served.mem"
        with Memory.open(path) as memory, served(path) as client:
            own, one = memory.episode(id="own"), client()
            runs = {
                "log": (lambda n: own.log(_text(n)), lambda n, by: by.post(LOG, {"steps": [{"text": _text(n)}]})),
                "recall": (lambda n: memory.recall(_cue(n)), lambda n, by: by.post(RECALL, {"cue": _cue(n)})),
            }
            rows = []
            for name, (library, over_http) in runs.items():
                calls = (library, lambda n, over_http=over_http: over_http(n, one))
                here, there = _turns(calls, n_requests)
                done()
                rate = _many(over_http, client, n_requests, n_clients)
                done()
                rows.append({"what": name, "library_ms": here, "server_ms": there, "many_per_s": rate})
            return rows


def _text(number: int) -> str:
    return TEXT.format(n=number, m=number * 7919 % 100_003)


def _cue(number: int) -> str:
    return CUE.format(m=number * 7919 % 100_003)


def _turns(calls: Sequence[Callable[[int], Any]], n_requests: int) -> list[float]:
    """Median milliseconds of each of some calls, that take turns; the first tenth warms up."""
    times: list[list[float]] = [[] for _ in calls]
    for number in range(n_requests):
        for call, own in zip(calls, times, strict=True):
            began = time.perf_counter()
            call(number)
            own.append((time.perf_counter() - began) * 1000)
    return [median(own[n_requests // 10 :]) for own in times]


def _many(call: Callable[[int, Client], Any], client: Callable[[], Client], n_requests: int, n_clients: int) -> float:
    """Requests a second of several clients at once."""
    each = n_requests // n_clients or 1

    def work(by: Client) -> None:
        for number in range(each):
            call(number, by)

    clients = [client() for _ in range(n_clients)]
    began = time.perf_counter()
    with ThreadPoolExecutor(n_clients) as pool:
        list(pool.map(work, clients))
    return each * n_clients / (time.perf_counter() - began)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, then print Markdown, or JSON."""
    asked = parser().parse_args(arguments)
    with bars(live=False) as progress:
        task = progress.add_task("runs", total=4)
        progress.refresh()
        rows = measure(asked.requests, asked.clients, lambda: progress.update(task, advance=1, refresh=True))
    sys.stdout.write(json.dumps({"rows": rows}, indent=1) + "\n" if asked.json else markdown(rows, asked.clients))


def markdown(rows: Sequence[dict[str, Any]], n_clients: int) -> str:
    """The rows as a table."""
    head = f"| what | library, ms | server, ms | added, ms | {n_clients} clients, requests/s |"
    lines = [head, "|:--|--:|--:|--:|--:|"]
    for row in rows:
        here, there = row["library_ms"], row["server_ms"]
        lines.append(f"| {row['what']} | {here:.2f} | {there:.2f} | {there - here:.2f} | {row['many_per_s']:,.0f} |")
    return "\n".join(lines) + "\n"
