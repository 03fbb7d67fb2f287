"""agentmem and other packages, each used as its documentation shows, in a process of its own.

    peer vectors                    what a peer can do, and our encoder as each of them wants it
    ours langgraph others summary   the peers
    entries                         which there are, and what installs them
    serve racer                     the process of one, and whoever leads it

No network, no language model, the same encoder for all. Knows nothing of what is measured.
"""
