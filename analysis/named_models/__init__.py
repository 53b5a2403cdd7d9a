"""Models that papers name: size, tokens, compute, hardware and cost, each fact with its source.

`models.toml` holds the facts, `registry` reads them, `identities` checks them against each other
and prices a training, `placing` holds them against the optimum of a law. `notable` is the wider
table of Epoch AI, and `growth` finds how fast compute grows over the years.
"""
