"""Data sources: a source a file, a config that loads a Dataset with a fingerprint."""
