"""Tables -> laws -> figures, in float64. Never trains, never launches."""

from scaling.public import public

__all__, __getattr__, __dir__ = public(
    __name__,
    {
        "tables.read": ("Source", "read"),
        "tables.results": ("summarise", "usable"),
        "laws": ("CHINCHILLA", "LAWS", "POWER_LAW", "SATURATING_POWER_LAW", "Law"),
        "laws.own": ("Parameter", "law_of"),
        "estimate": ("Bootstrap", "Estimate"),
        "errors": ("FitError",),
        "fitting.engine.loss": ("Loss",),
        "fitting.fit": ("fit",),
        "fitting.result": ("FitResult",),
        "fitting.profile": ("Profile", "profile_likelihood"),
        "fitting.ranking": ("rank",),
        "fitting.ranking_result": ("Ranking",),
        "compute_optimal.approaches": ("three_approaches",),
        "compute_optimal.approaches_result": ("Approaches",),
        "compute_optimal.isoflop": ("isoflop",),
        "planning.allocate": ("allocate",),
        "planning.allocation": ("Allocation",),
        "planning.design": ("Candidates", "next_cells"),
        "planning.design_result": ("Design",),
        "double_descent.verdict": ("DoubleDescent", "descent"),
        "double_descent.critical_size": ("interpolation_threshold",),
    },
    modules=("laws", "plots", "theory"),
)
