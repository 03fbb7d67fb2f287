"""A memory as a graph: what was logged, what was made of it, and what was shown to whom, as a networkx DiGraph.

A table of contents, and the one place that imports networkx and, late, matplotlib for pictures. Knows a memory; knows
no page and no command. Every attribute is a str, int, float or bool, and one that does not apply is left out.

    node      what it is                       attributes beside `kind`, `position`, `born`, `label`, `x`, `y`
    step      one of the log                 text, step_kind, episode, tokens, logged_at, recalled, pinned; actor, at,
                                             reward, terminated, truncated, trust, lost
    unit      a crystal                      text, first, tokens, source_tokens, salience, recalled; episode (if all
    cluster                                  of it is of one), about, retired (if asked for); of an atom value
    atom                                     and support
    recall    one that an episode made       text (the cue), episode, tokens, budget, hits, logged_at
    episode   the steps of one run           text (the goal), agent, ended, steps
    entity    a subject of steps, or what    text (its name)
              atoms' keys name

    edge          from                   to
    sources       crystal                what it was made from: a cluster's units; of units and atoms the steps
    sealed_with   atom                   the cluster or unit that it was sealed with
    supersedes    atom                   the one that it retired (with retired=True)
    next          step                   the next one of its episode
    recalled_by   step, crystal          a recall that showed it
    shown_to      recall                 the step that its episode logged next
    part_of       step, recall           its episode
    about         step, atom, entity     whom the step is about; an atom's key; the subject that a key names

`position` is the log position of what it tells (the last, for a crystal, whose first is `first`), `born` the one from
which on it is known. An edge has `kind`, and is `born` with the later of its ends. `recalled` counts the recalls that
showed it, `text` is the first 200 characters, `label` a line of 48; characters that XML cannot hold are written as �.
"""

from agentmem.graph.central import communities, most_recalled, pagerank
from agentmem.graph.made import memory_graph
from agentmem.graph.picture import draw
from agentmem.graph.write import FORMATS, node_link, to_gexf, to_graphml, to_json, to_mermaid, write

__all__ = [
    "FORMATS",
    "communities",
    "draw",
    "memory_graph",
    "most_recalled",
    "node_link",
    "pagerank",
    "to_gexf",
    "to_graphml",
    "to_json",
    "to_mermaid",
    "write",
]
