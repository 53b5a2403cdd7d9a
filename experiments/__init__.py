"""One file, one question from the literature."""
