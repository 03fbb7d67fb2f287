"""A memory over HTTP: `agentmem serve`. Needs starlette, uvicorn and prometheus-client.

models operations played    what is asked and answered; what each route does; graphs and replays
place writers               the namespace that is worked in; episodes that are being logged
tokens rates guard          who asks, in which namespace, how often; all of that before a body is read
problems watch              errors as problem+json; the access log and the metrics, which hold no content
openapi app run             the document, the application, the process
"""

from importlib.util import find_spec

from agentmem.errors import MissingExtraError

if missing := [name for name in ("starlette", "uvicorn", "prometheus_client") if find_spec(name) is None]:
    raise MissingExtraError(f"a server needs {' and '.join(missing)}: pip install 'agentmem-crystal[serve]'")

from agentmem.server.app import make_app
from agentmem.server.guard import Limits
from agentmem.server.run import serve
from agentmem.server.tokens import Tokens, new_token

__all__ = ["Limits", "Tokens", "make_app", "new_token", "serve"]
