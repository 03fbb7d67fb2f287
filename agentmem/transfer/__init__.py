"""Export and import: the log as lines of JSON, and back.

One line per record, UTF-8, in log order. A step has `id`, `episode`, `kind`, `text`, those other keywords of `log` that
are not at their defaults (blobs as base64), and `logged_at`. A line with a `type` is an event:

    {"type": "begin", "episode": "e1", "goal": "open the red door", "logged_at": "2026-01-01T00:00:00+00:00"}
    {"id": "s00000000002", "episode": "e1", "kind": "observation", "text": "It is locked.", "logged_at": "..."}
    {"type": "forget", "steps": ["s00000000002"], "logged_at": "..."}

Ids: where a log has gaps (something was erased, or one namespace is exported alone) an import cannot give the same step
ids. So a line's `id` is the step's key if it has one, and else its step id, which an import makes part of the key. That
is why an import can be repeated, continued, and exported again to the same bytes. `reply_to`, and the steps of events,
are such ids.

The events "erased" and "consent" name whom they bar by salted digests, and bar them where they are read back as well.
What was erased from a memory is not taken into it again from an older export: each such line is told as bad.

Crystals are written with `derived` only, and not read back: they are made again from the steps. Attachments are written
with `derived` only as well, since they are no part of the log, and are read back, since nothing could make them again:

    {"type": "attachment", "namespace": ["acme"], "name": "state", "content": "AAEC"}

One that is there already with other content stays, and its line is told as bad.
"""

from agentmem.transfer.back import Bad, Importer, LineError, recall_key
from agentmem.transfer.out import Exporter, export

__all__ = ["Bad", "Exporter", "Importer", "LineError", "export", "recall_key"]
