"""The columns that a law takes are found, converted, derived or asked for."""

import numpy as np
import pandas as pd
import pytest

from analysis.estimate import Bootstrap
from analysis.fitting.fit import fit
from analysis.laws import DATA_CONSTRAINED, LAWS, ROUTED, WIDTH_DEPTH, Law
from analysis.tables import read as sources
from analysis.tables.origins import Column, Ratio

RNG = np.random.default_rng(0)
SHAPES = np.exp(RNG.uniform(np.log([64.0, 2.0, 1e8]), np.log([4096.0, 96.0, 3e11]), (60, 3)))
SHAPE = (1.6, 40.0, 1.5, 3e3, 0.6, 0.8, 0.4)


@pytest.mark.parametrize("law", LAWS.values(), ids=lambda law: law.name)
def test_every_law_is_read_from_columns_of_its_names(law: Law, tmp_path):
    x = np.exp(RNG.uniform(-1.0, 0.0, (8, len(law.inputs))))
    table = pd.DataFrame(x, columns=list(law.inputs))
    table[law.output] = np.linspace(0.9, 0.2, 8)
    table.to_csv(tmp_path / "runs.csv", index=False)
    read = sources.read(tmp_path / "runs.csv", needs=(*law.inputs, law.output)).table
    np.testing.assert_allclose(read[list(law.inputs)], x, rtol=1e-12)
    assert read[law.output].tolist() == table[law.output].tolist()


def refusal(tmp_path, text: str, columns: str | None, *needs: str) -> str:
    (tmp_path / "runs.csv").write_text(text)
    with pytest.raises(ValueError) as error:
        sources.read(tmp_path / "runs.csv", columns, needs=needs)
    return str(error.value)


def test_a_table_of_shapes_is_fitted_by_declared_columns(tmp_path):
    table = pd.DataFrame(SHAPES, columns=["w", "h", "tokens"])
    table["tokens"] /= 1e9
    theta = WIDTH_DEPTH.to_theta(np.array(SHAPE))
    table["loss"] = np.exp(WIDTH_DEPTH.log_predict(theta, np.log(SHAPES)))
    table.to_csv(tmp_path / "runs.csv", index=False)
    declared = "width=w,depth=h,D=tokens[1e9],loss=loss"
    needs = (*WIDTH_DEPTH.inputs, WIDTH_DEPTH.output)
    read = sources.read(tmp_path / "runs.csv", declared, needs=needs).table
    result = fit(
        WIDTH_DEPTH, read[list(WIDTH_DEPTH.inputs)], read["loss"], bootstrap=Bootstrap(n=200)
    )
    np.testing.assert_allclose(list(result.params.values()), SHAPE, rtol=1e-4)
    # As models' configurations name them.
    table = table.rename(columns={"w": "d_model", "h": "n_layers"})
    table.to_csv(tmp_path / "runs.csv", index=False)
    source = sources.read(tmp_path / "runs.csv", "D=tokens[1e9]", needs=needs)
    np.testing.assert_array_equal(source.table["width"], read["width"])
    assert source.origins["depth"] == Column("depth", ("n_layers",), declared=False)
    assert str(source.origins["depth"]) == "depth = 'n_layers' (by its name)"


@pytest.mark.parametrize("given", [("N", "D"), ("N", "C"), ("D", "C")])
def test_tokens_per_parameter_follow(tmp_path, given):
    n, d = np.array([1e8, 4e8, 2e9]), np.array([2e9, 1e10, 2e11])
    full = pd.DataFrame({"N": n, "D": d, "C": 6 * n * d, "loss": [3.2, 2.9, 2.5]})
    full[[*given, "loss"]].to_csv(tmp_path / "runs.csv", index=False)
    source = sources.read(tmp_path / "runs.csv", needs=("C", "M", "loss"))
    np.testing.assert_allclose(source.table["M"], d / n, rtol=1e-14)
    assert source.origins["M"] == Ratio("M", "D", "N")
    assert source.table.attrs["units"]["M"] == "tokens per parameter"
    # Not where no law asks, and not in place of what is given.
    assert "M" not in sources.read(tmp_path / "runs.csv").table
    full.assign(M=[20.0, 25.0, 100.0]).to_csv(tmp_path / "runs.csv", index=False)
    read = sources.read(tmp_path / "runs.csv", needs=("C", "M", "loss")).table
    assert read["M"].tolist() == [20.0, 25.0, 100.0]


def test_epochs_follow_from_unique_tokens(tmp_path):
    text = "N,D,unique_tokens,loss\n1e8,2e9,1e9,3.2\n4e8,1e10,1e9,2.9\n"
    (tmp_path / "runs.csv").write_text(text)
    source = sources.read(tmp_path / "runs.csv", needs=(*DATA_CONSTRAINED.inputs, "loss"))
    assert source.table["epochs"].tolist() == [2.0, 10.0]
    assert source.origins["epochs"] == Ratio("epochs", "D", "U")
    said = refusal(tmp_path, text.replace("unique_tokens", "u2"), None, "epochs")
    assert "no column for epochs" in said and "epochs = D / U; the table has D" in said
    assert "M = D / N; the table has neither" in refusal(tmp_path, "loss\n1\n2\n", None, "M")


def test_a_metric_is_a_fraction(tmp_path):
    text = "val_loss,accuracy (%)\n3.2,25.0\n2.9,40.5\n"
    (tmp_path / "runs.csv").write_text(text)
    read = sources.read(tmp_path / "runs.csv", needs=("loss", "accuracy")).table
    assert read["accuracy"].tolist() == pytest.approx([0.25, 0.405])
    bare = text.replace(" (%)", "")
    said = refusal(tmp_path, bare, None, "loss", "accuracy")
    assert "line 2, column 'accuracy': 25 cannot be an accuracy" in said
    assert "--columns 'accuracy=accuracy[%]'; correct the value" in said
    declared = sources.read(tmp_path / "runs.csv", "accuracy=accuracy[%]").table
    assert declared["accuracy"].tolist() == pytest.approx([0.25, 0.405])
    none = refusal(tmp_path, "loss,error_rate\n3,0\n2,0.5\n", None, "loss", "error")
    assert "line 2, column 'error_rate': 0 cannot be an error (error)" in none


def test_what_a_law_takes_is_above_0_and_in_the_table(tmp_path):
    text = "w,D,loss\n64,1e9,3.2\n0,2e9,2.9\n"
    said = refusal(tmp_path, text, "width=w", "width", "D", "loss")
    assert "line 3, column 'w': 0 cannot be the width, which is a finite number above 0" in said
    assert sources.read(tmp_path / "runs.csv", "width=w").table["width"].tolist() == [64, 0]
    said = refusal(tmp_path, text, None, "width", "D", "loss")
    assert "no column for width; " in said and "--columns width=" in said
    said = refusal(tmp_path, "N,X,loss\n1e8,8,3\n2e8,-1,2\n", None, *ROUTED.inputs, "loss")
    assert "line 3, column 'X': -1 cannot be a number of experts" in said


def test_a_law_may_take_a_column_that_means_something_else_to_others(tmp_path):
    (tmp_path / "runs.csv").write_text("tokens,loss\n1e9,3\n2e9,2\n")
    read = sources.read(tmp_path / "runs.csv", needs=("tokens", "loss")).table
    assert read["tokens"].tolist() == [1e9, 2e9]


def test_provenance_is_strict_json(tmp_path):
    (tmp_path / "runs.csv").write_text("N,D,loss\n1e8,2e9,3\n2e8,2e9,2\n")
    provenance = sources.read(tmp_path / "runs.csv").provenance()
    assert provenance["rows"] == 2 and provenance["convention"] == "C = 6 N D"
    assert provenance["taken"] == {
        "N": "N = 'N' (by its name)",
        "D": "D = 'D' (by its name)",
        "C": "C = 6 N D",
        "loss": "loss = 'loss' (by its name)",
    }
