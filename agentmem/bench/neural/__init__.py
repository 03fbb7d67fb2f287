"""The neural memory beside other memories for transformers: each trained and asked in the same way.

    peers          other packages, each behind one interface, at equal numbers of parameters
    recall text    training loops and what is measured of them
    pace           tokens per processor-second of training

Needs torch; each peer needs its own package.
"""
