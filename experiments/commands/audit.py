"""`scaling audit`: are published constants the optimum of their own objective on a table?"""

import json

import numpy as np

from analysis.fitting.audit import audit
from analysis.fitting.engine.loss import Loss
from analysis.published import library
from analysis.writing import plain
from experiments.commands import rows
from experiments.commands.console import console, print_table, write_text
from experiments.commands.options.analyses import AuditOptions

_OUTPUTS = ("loss", "error")  # columns that a table can hold


def run(options: AuditOptions) -> int:
    """Audits a published law; prints both sets of constants, and what changes."""
    entry = library.find(options.law)
    curve = entry.curve(options.curve)
    law = curve.law
    if curve.output not in _OUTPUTS or curve.units:
        raise ValueError(
            f"{entry.name}, {curve.name} predicts {curve.output}, which no table holds: choose a "
            "curve of the loss by --curve, from `scaling laws show " + entry.name + "`"
        )
    source = rows.read_rows(options, needs=(*law.inputs, law.output))
    chosen = rows.settled(source, law.inputs, law.output, options.flagged)
    table = chosen.source.table
    x = table.loc[:, list(law.inputs)].to_numpy(np.float64)
    y = table[law.output].to_numpy(np.float64)
    found = audit(law, curve.params, x, y, loss=Loss(options.huber))
    refit = found.refit
    residuals = np.log(y) - np.log(curve.predict(dict(zip(law.inputs, x.T, strict=True))))
    cells = [
        (name, f"{curve.params[name]:.6g}", f"{refit.params[name]:.6g}",
         "[{:.6g}, {:.6g}]".format(*refit.intervals[name]))
        for name in law.params
    ]  # fmt: skip
    derived = law.derived(np.array([curve.params[name] for name in law.params]))
    for name, each in refit.derived().items():
        ends = "[{:.6g}, {:.6g}]".format(*each.interval)
        cells.append((name, f"{float(derived[name]):.6g}", f"{each.value:.6g}", ends))
    console.print()
    interval = f"{100 * refit.level:g} % interval"
    headings = ("constant", entry.name, "refitted", interval)
    print_table(headings, cells, ("left", "right", "right", "left"))
    console.print(f"\n{found.reason}", soft_wrap=True)
    console.print(
        f"Of {len(y)} rows, {entry.name} misses by {np.mean(residuals):+.4f} in log "
        f"{law.output} on average, {np.sqrt(np.mean(residuals**2)):.4f} rms; the refit by "
        f"{np.sqrt(np.mean(refit.residuals**2)):.4f} rms.",
        soft_wrap=True,
    )
    if entry.loss:
        console.print(
            f"Its loss is in {entry.loss}: that of another tokenizer or text does not compare.",
            soft_wrap=True,
        )
    rows.print_flags(chosen.flags, options.flagged)
    if options.json is not None:
        report = {
            "law": entry.name,
            "curve": curve.name,
            "source": source.provenance(),
            "published": dict(curve.params),
            "objective": found.objective,
            "ratio": found.ratio,
            "outside": found.outside,
            "is_optimum": found.is_optimum,
            "refit": refit.to_dict(),
        }
        write_text(options.json, json.dumps(plain(report), indent=1, allow_nan=False))
    return 0
