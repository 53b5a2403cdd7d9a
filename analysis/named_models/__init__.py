"""Models that papers name: size, tokens, compute, hardware and cost, each fact with its source.

`models.toml` holds the facts, `registry` reads them, `identities` checks them against each other
and prices a training, `growth` finds how fast compute grows over the years.
"""
