"""Units in names: every spelling, in every format, reads to the same numbers."""

import json
import math
import shlex

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.tables import columns, read
from analysis.tables.columns import declaration
from analysis.tables.headings import known

N = {
    1.0: ["n_params", "N", "params", "num_parameters", "params (parameters)"],
    1e6: [
        *["params_M", "n_params_millions", "params (M)", "params [1e6]", "paramsM", "params_in_M"],
        *[
            "params_m",
            "n_params_1e6",
            "million_params",
            "N_M",
            "Mparams",
            "M_params",
            "config.params_M",
        ],
    ],
    1e9: ["params_B", "params_in_B", "parameters (billions)", "total_params_bn", "params/B"],
}
D = {
    1.0: ["tokens", "D", "tokens_seen", "train_tokens"],
    1e6: ["tokens_M", "tokens (millions)", "n_tokens_mn", "Mtokens"],
    1e9: [
        "tokens_B",
        "tokens (B)",
        "tokensB",
        "train_tokens_b",
        "tokens_1e9",
        "D_B",
        "billion_tokens",
    ],
    1e12: ["tokens_T", "tokens [T]", "tokens_trillions"],
}
C = {
    1.0: ["flops", "C", "train_flops", "compute"],
    1e9: ["total_gflops", "C_GFLOPs", "compute (GFLOPs)", "totalGFLOPs", "training_gflops"],
    1e18: ["flops [1e18]", "train_eflops", "flops_1e18", "compute_E"],
    8.64e19: [
        "pf_days",
        "compute (PF-days)",
        "C_pf_days",
        "total_compute_pfdays",
        "compute [petaflop/s-days]",
    ],
}
LOSS = {
    1.0: [
        "loss",
        "val_loss",
        "eval/loss",
        "loss_nats",
        "val_loss (nats)",
        "eval_loss_nats_per_token",
    ],
    math.log(2): [
        "val_bpb",
        "loss_bits",
        "val_loss_bits",
        "bpb",
        "eval_bits_per_byte",
        "loss [bits]",
        "valBPB",
    ],
    None: ["ppl", "val_ppl", "perplexity", "loss (perplexity)", "test_perplexity"],
}
ENDINGS = (".csv", ".tsv", ".jsonl", ".json", ".parquet")


def spelled(names):
    return st.sampled_from([(unit, name) for unit, each in names.items() for name in each])


def write(frame, path, form):
    if path.suffix in (".csv", ".tsv"):
        frame.to_csv(path, index=False, sep="," if path.suffix == ".csv" else "\t")
    elif path.suffix == ".jsonl":
        frame.to_json(path, orient="records", lines=True, double_precision=15)
    elif path.suffix == ".json":
        content = frame.to_dict("split" if form == "split" else "records")
        if form in ("columns", "index"):
            content = json.loads(frame.to_json(orient=form, double_precision=15))
        elif form == "list":
            content = frame.to_dict("list")
        path.write_text(json.dumps(content))
    else:
        frame.to_parquet(path, index=False)
    return path


@pytest.mark.medium
@given(
    spelled(N),
    spelled(D),
    spelled(C),
    spelled(LOSS),
    st.sampled_from(ENDINGS),
    st.sampled_from(["records", "columns", "index", "list", "split"]),
)
@settings(deadline=None, max_examples=60)
def test_a_table_reads_to_the_same_numbers(tmp_path_factory, n, d, c, loss, ending, form):
    sizes = np.array([2e7, 2e8, 1.5e9])
    truth = pd.DataFrame({"N": sizes, "D": [1e10, 4e9, 3e10], "loss": [3.5, 3.0, 2.5]})
    truth["C"] = 6.1 * truth["N"] * truth["D"]
    file = pd.DataFrame(
        {
            n[1]: truth["N"] / n[0],
            d[1]: truth["D"] / d[0],
            c[1]: truth["C"] / c[0],
            loss[1]: np.exp(truth["loss"]) if loss[0] is None else truth["loss"] / loss[0],
        }
    )
    path = write(file, tmp_path_factory.mktemp("t") / f"runs{ending}", form)
    source = read.read(path, needs=("N", "D", "C", "loss"))
    for name in truth:
        assert np.allclose(source.table[name], truth[name], rtol=1e-12, atol=0), (name, path)
    assert not source.doubts


@pytest.mark.parametrize("quantity", ["N", "D", "C", "loss"])
def test_what_declares_a_column_by_hand_gives_the_same_unit(quantity):
    for factor, names in {"N": N, "D": D, "C": C, "loss": LOSS}[quantity].items():
        for name in names:
            frame = pd.DataFrame({name: [1.5, 2.5], "x": [0.5, 1]})
            (text,) = columns.parse_columns(*shlex.split(declaration(quantity, name))).values()
            for declared in (text, f'"{name}"'):
                taken = columns.choose(frame, {quantity: declared}).columns[0]
                assert taken.columns == (name,)
                unit = taken.unit
                if factor is None:
                    assert unit is not None and unit.is_perplexity, name
                else:
                    assert (unit.factor if unit else 1.0) == pytest.approx(factor), name


def test_names_whose_ends_are_no_units():
    for name, quantity in {
        "tokens_per_second": "D",
        "tokens_t": "D",
        "d_model": "D",
        "n_m": "N",
        "params_k": "N",
        "gflops": "C",
        "tflops": "C",
        "flops_per_token": "C",
        "forward_flops": "C",
    }.items():
        assert known(name, quantity) is None, name
    for name in ("n_params", "val_loss", "loss_nats"):
        found = known(name, "N" if "params" in name else "loss")
        assert found is not None and found[0].unit is None, name


def test_hints_give_the_unit_and_the_command_then_works(tmp_path):
    path = tmp_path / "runs.csv"
    for name, unit, factor in (("mdl_params_M", "[M]", 1e6), ("size of params (B)", "", 1e9)):
        path.write_text(f"{name},tokens,loss\n20,1e9,3\n200,2e9,2.5\n")
        with pytest.raises(ValueError, match="no column for N; is it") as error:
            read.read(path, needs=("N", "loss"), where=None, columns="D=tokens[1]")
        hint = str(error.value).partition("--columns ")[2].partition(" (there are")[0]
        (hint,) = shlex.split(hint)
        assert hint.endswith(unit)
        source = read.read(path, hint, needs=("N", "loss"))
        assert source.table["N"].tolist() == [20 * factor, 200 * factor]
        assert source.origins["N"].unit.factor == factor


def test_a_unit_taken_from_a_declared_name_is_said(tmp_path):
    path = tmp_path / "runs.csv"
    path.write_text("size_M,seen_b,loss\n20,1e9,3\n200,2e9,2.5\n")
    source = read.read(path, "N=size_M,D=seen_b")
    assert "N = 'size_M' [M, by its name]" in source.describe()
    assert source.table["N"].tolist() == [2e7, 2e8]
    assert source.table["D"].tolist() == [1e9, 2e9]
    assert "if the last letter of 'seen_b' is a unit, declare --columns 'D=seen_b[B]'" in (
        source.describe()
    )
    # A unit given by hand stands.
    assert read.read(path, "N=size_M[1]").table["N"].tolist() == [20, 200]


def test_other_ways_to_count_are_in_their_units_too(tmp_path):
    from analysis.tables.conventions import conventions, recount

    path = tmp_path / "runs.csv"
    path.write_text("params_M,params_embedding_M,tokens,loss\n20,5,1e9,3\n200,20,2e9,2.5\n")
    source = read.read(path)
    (other,) = conventions(source)
    assert recount(source, other)["N"].tolist() == [15e6, 180e6]
