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
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from agentmem.bench.arguments import bars, parser_of, positive
from agentmem.bench.printed import json_of
from agentmem.memory import Memory

NOTES = """\
One step a request, at durability "power"; library and server take turns. Milliseconds are of one client that asks one
request after another: the median by the clock, which other work on the machine lengthens, and the mean of the CPU of
the library's, or the server's, process (Linux).
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

    def cpu(self) -> float:
        """Seconds of CPU that the server's process has used."""
        self.line.request("GET", "/metrics", headers=self.headers)
        said = self.line.getresponse().read().decode()
        return next(
            float(line.split()[1]) for line in said.splitlines() if line.startswith("process_cpu_seconds_total")
        )


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
    """A row for log, and one for recall: milliseconds, and those of CPU, by library and by server, and requests a
    second of many clients. done: called after each of four runs.
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
                row = _turns(library, partial(_with, over_http, one), n_requests, one.cpu)
                done()
                rate = _many(over_http, client, n_requests, n_clients)
                done()
                rows.append({"what": name, **row, "many_per_s": rate})
            return rows


def _with(call: Callable[[int, Client], Any], client: Client, number: int) -> Any:
    return call(number, client)


def _text(number: int) -> str:
    return TEXT.format(n=number, m=number * 7919 % 100_003)


def _cue(number: int) -> str:
    return CUE.format(m=number * 7919 % 100_003)


def _turns(
    library: Callable[[int], Any], server: Callable[[int], Any], n_requests: int, cpu: Callable[[], float]
) -> dict[str, float]:
    """Milliseconds of a call by each, in turns: the median by the clock, and the mean of CPU; a tenth more warms up.

    cpu: seconds that the server has used.
    """
    times: list[tuple[float, float]] = []
    warm, own, used = n_requests // 10, 0.0, 0.0
    for number in range(n_requests + warm):
        if number == warm:
            own, used = 0.0, cpu()
        began, busy = time.perf_counter(), time.process_time()
        library(number)
        between, own = time.perf_counter(), own + time.process_time() - busy
        server(number)
        times.append((between - began, time.perf_counter() - between))
    here, there = (median(each) * 1000 for each in zip(*times[warm:], strict=True))
    per = 1000 / n_requests
    return {"library_ms": here, "server_ms": there, "library_cpu_ms": own * per, "server_cpu_ms": (cpu() - used) * per}


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
    sys.stdout.write(json_of({"rows": rows}, indent=1) + "\n" if asked.json else markdown(rows, asked.clients))


def markdown(rows: Sequence[dict[str, Any]], n_clients: int) -> str:
    """The rows as a table."""
    clocks = "library, ms | server, ms | library, ms of CPU | server, ms of CPU"
    lines = [f"| what | {clocks} | {n_clients} clients, requests/s |", "|:--|--:|--:|--:|--:|--:|"]
    for row in rows:
        figures = " | ".join(f"{value:.2f}" for name, value in row.items() if name.endswith("_ms"))
        lines.append(f"| {row['what']} | {figures} | {row['many_per_s']:,.0f} |")
    return "\n".join(lines) + "\n"
