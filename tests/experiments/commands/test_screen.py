"""No table, however odd, brings nan, inf or a library's warning to the screen, or breaks JSON."""

import json
import re
import warnings
from functools import partial

import numpy as np
import pytest
from sources import planted

from analysis.estimate import Bootstrap
from experiments.cli import main
from experiments.commands import fit, isoflop, rank
from experiments.commands.console import console, print_table

PLANTED = planted().drop(columns=["run", "step"])
N, D, LOSS = (PLANTED[name] for name in ("params", "tokens", "eval_loss"))
TABLES = {
    "constant loss": PLANTED.assign(eval_loss=3.0),
    "rising loss": PLANTED.assign(eval_loss=2 + 1e-3 * N**0.3),
    "no noise": PLANTED.assign(eval_loss=1.7 + 400 * N**-0.34 + 400 * D**-0.3),
    "three rows": PLANTED.iloc[[0, 9, 18]],
    "two sizes": PLANTED[N < 2.1e7],
    "one size": PLANTED.assign(params=1e8),
    "one budget": PLANTED.iloc[::4],
    "huge sizes": PLANTED.assign(params=N * 1e35, tokens=D * 1e35),
    "tiny sizes": PLANTED.assign(params=N * 1e-35, tokens=D * 1e-35),
    "huge loss": PLANTED.assign(eval_loss=LOSS * 1e49),
    "beyond all losses": PLANTED.assign(eval_loss=LOSS * 1e200),
    "a loss beyond the others": PLANTED.assign(eval_loss=LOSS.where(LOSS.index != 3, 1e300)),
}
COMMANDS = (
    "fit T --law chinchilla --flagged keep --json fit.json",
    "rank T --flagged keep --json rank.json",
    "isoflop T --out isoflop",
    "descent T --x params --test eval_loss",
    "allocate --fit fit.json --flops 1e21 --far --json allocate.json",
    "design --fit fit.json --flops 1e20 --quantity a --cells 1",
)


@pytest.mark.medium
@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_odd_tables_leave_the_screen_clean(table, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(fit, "Bootstrap", partial(Bootstrap, n=200))
    monkeypatch.setattr(fit, "_profiles", lambda result: "no profiles")
    monkeypatch.setattr(fit, "_alternatives", lambda *args, **choices: iter(()))
    few = partial(isoflop.three_approaches, bootstrap=Bootstrap(n=200))
    monkeypatch.setattr(isoflop, "three_approaches", few)
    monkeypatch.setattr(isoflop.style, "save", lambda *args: None)
    monkeypatch.setattr(rank, "rank", partial(rank.rank, bootstrap=Bootstrap(n=200)))
    monkeypatch.setattr(rank, "applicable", lambda inputs: [fit.LAWS["chinchilla"]])
    table.to_csv("runs.csv", index=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for command in COMMANDS:
            assert main(command.replace("T ", "runs.csv ", 1).split()) in (0, 2)
    assert table is not TABLES["no noise"] or len(list(tmp_path.rglob("*.json"))) == 4
    printed = capsys.readouterr()
    assert not re.findall(r"(?<![\w-])-?(?:nan|inf|infinity)\b", printed.out + printed.err, re.I)
    for written in tmp_path.rglob("*.json"):
        json.loads(written.read_text(), parse_constant=pytest.fail)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("isoflop runs.csv --noise 1e-300", "between 1e-50 and 1e+50"),
        ("rank runs.csv --huber 1e300", "at most 1e+100"),
        ("allocate --fit fit.json --flops 1e21 --inference-tokens 1e308", "at most 1e+100"),
        ("allocate --fit fit.json --flops 1e21 --gpu h100 --mfu 1e-320", "at least 1e-06"),
        ("design --fit fit.json --flops 1e20 --quantity a --sizes 1e300 1e301", "at most 1e+100"),
    ],
)
def test_options_beyond_float64_are_refused(option, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    PLANTED.to_csv("runs.csv", index=False)
    law = fit.LAWS["chinchilla"]
    found = fit.fit(law, PLANTED[["params", "tokens"]], LOSS, bootstrap=Bootstrap(n=200))
    source = {"range": {"N": [1e7, 6.4e8], "D": [1e9, 1e12]}, "largest_flops": 1e21}
    values = {"fit": json.loads(found.to_json()), "source": source}
    (tmp_path / "fit.json").write_text(json.dumps(values))
    assert main(option.split()) == 2
    assert message in " ".join(capsys.readouterr().err.split())


@pytest.mark.medium
def test_a_criterion_that_is_not_finite_is_a_dash(tmp_path, capsys):
    path = tmp_path / "runs.csv"
    PLANTED.assign(eval_loss=3.0, tokens=np.nan).drop(columns="tokens").to_csv(path, index=False)
    assert main(["rank", str(path), "--flagged", "drop"]) == 0
    assert re.search(r"^kaplan_n .* - +- +- ", capsys.readouterr().out, re.MULTILINE)


@pytest.mark.parametrize("odd", ["\x1b[31mred", "a\x07bell", "\x9b2J"])
def test_codes_in_names_of_columns_are_shown_and_not_obeyed(odd, tmp_path, capsys):
    path = tmp_path / "runs.jsonl"
    path.write_text("\n".join(json.dumps({odd: n, "loss": 3.0}) for n in N))
    assert main(["fit", str(path), "--law", "kaplan_n"]) == 2
    said = capsys.readouterr().err
    assert repr(odd)[1:-1] in said and not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", said)


@pytest.mark.parametrize("odd", ["\x1b[31mred", "a\x07bell", "\x9b2J", "lone \ud800"])
def test_codes_in_texts_of_others_are_shown_and_not_obeyed(odd, capsys):
    assert main(["fit", "runs.csv", "--law", odd]) == 2
    console.print(odd)
    print_table([odd], [[odd]])
    printed = capsys.readouterr()
    shown = repr(odd)[1:-1]
    assert printed.err.count(shown) == 1 and printed.out.count(shown) == 3
    assert odd not in printed.err + printed.out
