"""Tables -> laws -> figures, in float64. Never trains, never launches."""
