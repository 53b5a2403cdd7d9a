"""Data sources, a source a file: a configuration that loads a dataset and has a fingerprint.

Sources of examples load a `Dataset`, sources of tokens a `TokenDataset`. The fingerprint is part of
a run's identity, in place of the path. Text passes through the corpus, its survey, a tokenizer and
the cache.
"""
