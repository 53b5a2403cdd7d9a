"""Tables -> laws -> figures, in float64. Never trains, never launches."""

from importlib import import_module

# Of `scaling` this room knows the record alone, so that it does not share `scaling.public`.
_NAMES = {
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
}
_MODULES = ("laws", "plots", "theory")
_HOMES = {name: module for module, defined in _NAMES.items() for name in defined}

__all__ = [*_HOMES, *_MODULES]  # pyrefly: ignore[unresolvable-dunder-all]


def __getattr__(name: str) -> object:
    """A public name, whose module is imported when it is first asked for."""
    if name in _MODULES:
        return import_module(f"{__name__}.{name}")
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
