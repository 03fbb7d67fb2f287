"""`agentmem bench NAME`: the measurements of docs/benchmarks.md. Each is a module of `agentmem.bench`."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

import typer

import agentmem.bench
