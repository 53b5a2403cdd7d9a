"""Sweeps: many configurations become one results folder, which survives kills and full disks.

`space`, `recipes` and `sizes` make lists of configurations: grids of fields, scaling recipes with
their rules of learning rate and batch (`rules`, `shapes`), and runs of given N and D. `plan`
resolves them into runs with identities and prices. `runner.run_sweeps` does the runs that are not
done yet: `pool` watches the workers that `executors` start, and each `worker` claims (`claims`),
computes, publishes (`publishing`) and tries again (`retries`), in the order of `visiting`; with
`processes` several processes share every run, and with `engines` a cluster starts a `member`
wherever it has room. `store` knows the layout of the results folder and reads it, `files` holds the
atomic writes under it. `accelerators` and `compile_cache` choose what a worker computes on and
where it finds compiled programs; `progress` shows how far a sweep has come.
"""

from scaling.public import public

__all__, __getattr__, __dir__ = public(
    __name__,
    {
        "space": ("chain", "grid", "overridden", "subsample", "zipped"),
        "shapes": ("Recipe",),
        "recipes": (
            "achieved",
            "around",
            "aspect_ratio",
            "branches",
            "crossed",
            "iso_flop",
            "ladder",
        ),
        "sizes": ("at_sizes",),
        "plan": ("Plan", "make_plan"),
        "runner": ("Summary", "run_sweeps"),
        "progress": ("show_progress",),
        "store": ("Store",),
        "files": ("StoreError",),
    },
    modules=("rules",),
)
