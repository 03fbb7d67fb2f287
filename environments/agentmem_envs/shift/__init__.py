"""Working shifts: one episode is one shift at a help desk over one live database, and what it needs was told long ago.

`env.Shift` says what is observed, done and rewarded; its desks are in `shop`, `retail`, `airline`, `telecom` and
`banking`; `wrapper.Candidates` offers calls to choose from.
"""
