"""Reads tau2's tools, databases and tasks where the `inspect-evals` wheel has them, without running that package.

The tool files are imported in place under a private name, and only their import statements are rewritten, in memory:
`inspect_evals.tau2` becomes the private name; inspect_ai, toml and yaml become the module of five names below. So no
module of those names is loaded, and a real one in the same process is neither needed nor touched. Knows no episode.
"""

import ast
import gzip
import json
import sys
import tomllib
from collections.abc import Sequence
from functools import cache
from importlib import import_module, metadata
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import spec_from_file_location
from pathlib import Path
from types import CodeType, ModuleType, SimpleNamespace
from typing import Any

from pydantic import BaseModel, ConfigDict

from agentmem.errors import MissingExtraError

NAME = "_agentmem_tau2"
OUTSIDE = f"{NAME}_outside"
PACKAGE, VERSION = "inspect-evals", "0.26.0"
INSTALL = f"pip install --no-deps {PACKAGE}=={VERSION}"
_ELSEWHERE = ("inspect_ai", "toml", "yaml")


class ToolError(Exception):
    """A call that one of tau2's tools refuses."""


class StoreModel(BaseModel):
    """What tau2's tool classes are made of."""

    model_config = ConfigDict(arbitrary_types_allowed=True)
    instance: str | None = None


class _Imports(ast.NodeTransformer):
    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.ImportFrom:
        module = node.module or ""
        if module.startswith("inspect_evals.tau2"):
            node.module = NAME + module.removeprefix("inspect_evals.tau2")
        elif module.split(".")[0] in _ELSEWHERE:
            node.module = OUTSIDE
        return node

    def visit_Import(self, node: ast.Import) -> ast.Import | ast.ImportFrom:
        if node.names[0].name not in _ELSEWHERE:
            return node
        return ast.copy_location(ast.ImportFrom(OUTSIDE, node.names, 0), node)


class _Source(SourceFileLoader):
    """Never reads nor writes the wheel's .pyc: their imports are not rewritten."""

    def get_code(self, fullname: str) -> CodeType:
        tree = _Imports().visit(ast.parse(self.get_data(self.path)))
        return compile(ast.fix_missing_locations(tree), self.path, "exec", dont_inherit=True)


class _Finder(MetaPathFinder):
    def __init__(self, root: Path) -> None:
        self.root = root

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        top, *rest = fullname.split(".")
        if top != NAME:
            return None
        place = self.root.joinpath(*rest)
        if place.is_dir():  # an empty package: the wheel's own __init__ imports its agents
            spec = ModuleSpec(fullname, None, is_package=True)
            spec.submodule_search_locations = [str(place)]
            return spec
        file = str(place.with_suffix(".py"))
        return spec_from_file_location(fullname, file, loader=_Source(fullname, file)) if Path(file).exists() else None


def _outside() -> ModuleType:
    module = ModuleType(OUTSIDE)
    names = {
        "ToolError": ToolError,
        "StoreModel": StoreModel,
        "store_as": lambda kind, instance=None: kind(instance=instance),
        "Content": str,
        "ContentText": str,
        "toml": SimpleNamespace(load=lambda file: tomllib.loads(file.read())),
        "yaml": None,
    }
    module.__dict__.update(names)
    return module


@cache
def root() -> Path:
    """Where the wheel keeps tau2. Raises MissingExtraError, with the line that installs it."""
    try:
        version = metadata.version(PACKAGE)
    except metadata.PackageNotFoundError:
        raise MissingExtraError(f"tau2's databases are not installed: {INSTALL}") from None
    if version != VERSION:
        raise MissingExtraError(f"tau2's databases are read from {PACKAGE} {VERSION}, found {version}: {INSTALL}")
    return Path(str(metadata.distribution(PACKAGE).locate_file("inspect_evals/tau2")))


def module(name: str) -> ModuleType:
    """A file of tau2's, such as "retail.RetailAgentTools"."""
    if OUTSIDE not in sys.modules:
        finder = _Finder(root())
        sys.modules[OUTSIDE] = _outside()
        sys.meta_path.insert(0, finder)
    return import_module(f"{NAME}.{name}")


def data(domain: str, name: str) -> Any:
    """A JSON or TOML file of a domain, parsed; compressed ones are read without a temporary file."""
    file = root() / "data" / "domains" / domain / name
    packed = file.with_name(name + ".gz")
    read = gzip.decompress(packed.read_bytes()) if packed.exists() else file.read_bytes()
    return tomllib.loads(read.decode()) if file.suffix == ".toml" else json.loads(read)
