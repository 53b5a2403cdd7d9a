"""A whole column in another unit is a doubt, with a remedy that removes it."""

import shlex

import pytest

from analysis.tables import read

ROWS = [(2e7, 1e9, 3.5), (2e8, 4e9, 3.0), (1.6e10, 3e11, 2.2)]


def written(tmp_path, names, factors, c_per_nd=6.2):
    lines = [",".join(names)]
    for n, d, loss in ROWS:
        cells = (n, d, c_per_nd * n * d, loss)
        lines.append(",".join(repr(cell / f) for cell, f in zip(cells, factors, strict=True)))
    path = tmp_path / "runs.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize(
    ("factors", "declared", "quantity", "fixed"),
    [
        ((1, 1, 1e9, 1), "C=cost", "C", "C=cost[GFLOPs]"),
        ((1, 1, 1e12, 1), "C=cost", "C", "C=cost[TFLOPs]"),
        ((1, 1, 1e3, 1), "C=cost", "C", "C=cost[KFLOPs]"),
        ((1, 1, 8.64e19, 1), "C=cost", "C", "C=cost[PF-days]"),
        ((1, 1, 1, 1), "C=cost[GFLOPs]", "C", None),
        ((1e6, 1, 1e6, 1), "C=cost[1e6]", "N", "N=params[M]"),
        ((1, 1e9, 1e9, 1), "C=cost[1e9]", "D", "D=tokens[B]"),
        ((1, 1e6, 1e6, 1), "C=cost[1e6]", "D", "D=tokens[M]"),
    ],
)
def test_sizes_and_compute(tmp_path, factors, declared, quantity, fixed):
    path = written(tmp_path, ("params", "tokens", "cost", "loss"), factors)
    source = read.read(path, declared)
    assert any(doubt.startswith(f"{quantity} is ") for doubt in source.doubts), source.doubts
    assert "doubt: " in source.describe()
    if fixed is not None:
        (doubt,) = [each for each in source.doubts if each.startswith(f"{quantity} is ")]
        assert fixed in doubt
        others = declared if quantity != "C" else None
        again = read.read(path, ",".join(filter(None, [others, fixed])))
        assert not [each for each in again.doubts if each.startswith(f"{quantity} is ")]
        assert again.flops_ratio.median == pytest.approx(6.2 / 6, rel=1e-3)


def test_right_units_are_not_doubted(tmp_path):
    names = ("params", "tokens", "flops", "loss")
    assert not read.read(written(tmp_path, names, (1, 1, 1, 1))).doubts
    for c_per_nd in (2.0, 9.0, 60.0):  # counted otherwise, not in other units
        assert not read.read(written(tmp_path, names, (1, 1, 1, 1), c_per_nd)).doubts


@pytest.mark.parametrize(("heading", "doubted"), [("loss", 1), ("val_bpb", 1), ("ppl", 0)])
def test_a_loss_beyond_its_range_is_perhaps_a_perplexity(tmp_path, heading, doubted):
    path = tmp_path / "runs.csv"
    path.write_text(f"params,tokens,{heading}\n2e7,1e9,33.1\n2e8,1e9,20.1\n2e9,1e9,12.2\n")
    source = read.read(path)
    assert len(source.doubts) == doubted
    if doubted:
        (remedy,) = shlex.split(source.doubts[0].rpartition("--columns ")[2])
        assert remedy == f"loss={heading}[perplexity]"
        assert not read.read(path, remedy).doubts


@pytest.mark.parametrize("heading", ["acc_pct", "eval_accuracy", "test_error (%)"])
def test_a_share_that_is_declared_as_loss_is_doubted(tmp_path, heading):
    path = tmp_path / "runs.csv"
    path.write_text(f"params,tokens,{heading}\n2e7,1e9,33.1\n2e8,1e9,20.1\n")
    (doubt,) = read.read(path, f'loss="{heading}"').doubts
    assert f"loss is read from {heading!r}, which is named for an " in doubt


@pytest.mark.parametrize(
    ("factor", "declared"),
    [
        (1e3, "C=flops[KFLOPs]"),
        (1e9, "C=flops[GFLOPs]"),
        (1e12, "C=flops[TFLOPs]"),
        (1e15, "C=flops[PFLOPs]"),
    ],
)
@pytest.mark.parametrize("given", ["params", "tokens"])
def test_compute_is_doubted_by_the_size_that_follows_from_it(tmp_path, factor, declared, given):
    rows = [(n if given == "params" else d, 6 * n * d / factor, loss) for n, d, loss in ROWS]
    path = tmp_path / "runs.csv"
    path.write_text(f"{given},flops,loss\n" + "\n".join(",".join(map(repr, row)) for row in rows))
    source = read.read(path)
    if given == "tokens" and factor == 1e3:  # models as small as somebody may train
        assert not source.doubts
        return
    (doubt,) = source.doubts
    assert f"--columns '{declared}'" in doubt
    again = read.read(path, declared)
    assert not again.doubts
    assert again.table["N"].tolist() == pytest.approx([n for n, _, _ in ROWS])


@pytest.mark.parametrize(("heading", "doubted"), [("tokens", True), ("examples", False)])
def test_few_tokens_a_parameter_are_doubted_where_few_examples_are_not(tmp_path, heading, doubted):
    path = tmp_path / "runs.csv"
    path.write_text(f"params,{heading},loss\n2e7,1e5,3.5\n2e8,4e6,3.0\n2e9,3e7,2.2\n")
    assert any("--columns 'D=tokens[M]'" in each for each in read.read(path).doubts) == doubted
