"""Many RunConfigs -> one results folder that survives anything."""
