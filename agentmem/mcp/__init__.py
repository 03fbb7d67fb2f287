"""Memory as an MCP server: six tools, two kinds of resources and a prompt, on stdio or HTTP.

The one place that imports `mcp`, an extra. Names are loaded when first used: what is missing says how to install it.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from agentmem.errors import MissingExtraError

if TYPE_CHECKING:
    from agentmem.mcp.http import http_app as http_app
    from agentmem.mcp.http import new_token as new_token
    from agentmem.mcp.http import serve_http as serve_http
    from agentmem.mcp.server import mcp_server as mcp_server
    from agentmem.mcp.server import serve_stdio as serve_stdio

_HOME = {
    "http_app": "http",
    "mcp_server": "server",
    "new_token": "http",
    "serve_http": "http",
    "serve_stdio": "server",
}
__all__ = sorted(_HOME)
INSTALL = "the MCP server needs the MCP SDK, 2.3 or newer: pip install 'agentmem-crystal[mcp]'"


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'agentmem.mcp' has no attribute {name!r}; it has {', '.join(__all__)}")
    try:
        return getattr(import_module(f"agentmem.mcp.{_HOME[name]}"), name)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("mcp", "mcp_types", "starlette", "uvicorn"):
            raise
        raise MissingExtraError(INSTALL) from error
