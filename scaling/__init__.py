"""One RunConfig -> one RunRecord: models, data, training, accounting."""
