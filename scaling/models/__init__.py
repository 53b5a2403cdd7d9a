"""Model families: a family a file, a config that builds a Model and counts what it costs."""
