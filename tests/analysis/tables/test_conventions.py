"""Refits under other counts of parameters and compute: closed forms, and the known direction."""

import numpy as np
import pandas as pd
import pytest

from analysis.fitting.alternatives import refit_under
from analysis.fitting.fit import fit
from analysis.fitting.result import FitResult
from analysis.laws import CHINCHILLA, KAPLAN_C, OVER_TRAINING
from analysis.tables import read as sources
from analysis.tables.conventions import Convention, conventions, recount
from analysis.tables.origins import Product

ALPHA, BETA = 0.34, 0.3
WIDTHS = 2.0 ** np.arange(6, 12)
VOCABULARY = 32_000
NON_EMBEDDING = Convention(n="params_non_embedding")
THUMB = Product("C", 6.0)


def grid():
    """Width and tokens of every run."""
    width, tokens = np.meshgrid(WIDTHS, np.geomspace(1e8, 1e11, 6))
    return width.ravel(), tokens.ravel()


def loss_of(non_embedding, tokens):
    return 1.7 + 400 * non_embedding**-ALPHA + 1000 * tokens**-BETA


def read(tmp_path, columns=None, **data):
    path = tmp_path / "runs.csv"
    pd.DataFrame(data).to_csv(path, index=False)
    return sources.read(path, columns)


@pytest.fixture
def models(tmp_path):
    """A table of transformers with N = 12 d^3 without embeddings, read by their totals."""
    width, tokens = grid()
    small, embeddings = 12 * width**3, VOCABULARY * width
    return read(
        tmp_path,
        "N=params_total",
        params_total=small + embeddings,
        params_non_embedding=small,
        params_embedding=embeddings,
        tokens=tokens,
        loss=loss_of(small, tokens),
    )


def fits(law, source):
    refits = dict(refit_under(fit, law, source))
    assert all(isinstance(found, FitResult) for found in refits.values()), refits
    return refits


def test_the_count_that_the_loss_depends_on_is_recovered(models):
    refits = fits(CHINCHILLA, models)
    assert list(refits) == [NON_EMBEDDING]
    params = refits[NON_EMBEDDING].params
    truth = {"E": 1.7, "A": 400.0, "B": 1000.0, "alpha": ALPHA, "beta": BETA}
    for name, value in truth.items():
        assert params[name] == pytest.approx(value, rel=1e-4)


def test_a_power_of_the_count_divides_the_exponent(tmp_path):
    """With N' = c N^k, A N^-alpha = A c^(alpha/k) N'^(-alpha/k): exact, whatever is fitted."""
    width, tokens = grid()
    small = 12 * width**3
    power, factor = 1 / 3, VOCABULARY / 12 ** (1 / 3)  # embeddings alone: V d
    source = read(
        tmp_path,
        "N=params_non_embedding",
        params_non_embedding=small,
        params_total=factor * small**power,
        tokens=tokens,
        loss=loss_of(small, tokens),
    )
    found = fits(CHINCHILLA, source)[Convention(n="params_total")]
    assert found.params["alpha"] == pytest.approx(ALPHA / power, rel=1e-4)
    assert found.params["A"] == pytest.approx(400 * factor ** (ALPHA / power), rel=1e-2)
    assert found.params["beta"] == pytest.approx(BETA, rel=1e-4)
    a = BETA / (ALPHA / power + BETA)
    assert found.derived()["a"].value == pytest.approx(a, rel=1e-4)


def test_totals_make_models_grow_more_slowly_than_non_embedding_counts(models):
    """Pearce & Song (arXiv:2406.12907): N' = N + w N^(1/3), so d log N' / d log N < 1.

    A power of the total stands for one of alpha over that slope, which is smallest at the smallest
    model, and alpha lies between its values at the ends.
    """
    table = models.table
    total = fit(CHINCHILLA, table[["N", "D"]], table["loss"])
    proper = fits(CHINCHILLA, models)[NON_EMBEDDING]
    small, embeddings = table["params_non_embedding"], table["params_embedding"]
    slope = (small + embeddings / 3) / (small + embeddings)
    assert ALPHA / slope.max() < total.params["alpha"] < ALPHA / slope.min()
    assert total.derived()["a"].value < proper.derived()["a"].value - 0.01


def test_embeddings_are_taken_off_or_added_where_no_other_count_is_there(tmp_path):
    width, tokens = grid()
    small, embeddings = 12 * width**3, VOCABULARY * width
    rest = {"tokens": tokens, "embedding_params": embeddings, "loss": loss_of(small, tokens)}
    source = read(tmp_path, n_params=small + embeddings, **rest)
    without = Convention(embeddings="embedding_params", sign=-1)
    assert conventions(source) == [without] and str(without) == "N without embedding_params"
    found = fits(CHINCHILLA, source)[without]
    assert found.params["alpha"] == pytest.approx(ALPHA, rel=1e-4)
    source = read(tmp_path, "N=non_embedding_params", non_embedding_params=small, **rest)
    (convention,) = conventions(source)
    assert str(convention) == "N with embedding_params"
    np.testing.assert_allclose(recount(source, convention)["N"], small + embeddings)


def test_tokens_that_came_from_compute_follow_the_count(tmp_path):
    """C = 6 N D with N without embeddings: only under that count are the tokens the true ones."""
    width, tokens = grid()
    small, embeddings = 12 * width**3, VOCABULARY * width
    source = read(
        tmp_path,
        "N=params_total,C=flops",
        params_total=small + embeddings,
        params_non_embedding=small,
        flops=6 * small * tokens,
        loss=loss_of(small, tokens),
    )
    (convention,) = conventions(source)
    np.testing.assert_allclose(recount(source, convention)["D"], tokens)
    found = fits(CHINCHILLA, source)[NON_EMBEDDING]
    assert found.params["beta"] == pytest.approx(BETA, rel=1e-3)


def test_a_measured_compute_and_the_rule_of_thumb_are_told_apart(tmp_path):
    width, tokens = grid()
    small, embeddings = 12 * width**3, VOCABULARY * width
    total = small + embeddings
    rest = {"params_total": total, "params_non_embedding": small, "tokens": tokens}
    measured = 6.5 * total * tokens
    source = read(
        tmp_path,
        "N=params_total,C=flops_train",
        **rest,
        flops_train=measured,
        flops_train_6n_total_d=6 * total * tokens,  # the rule itself: no convention of its own
        flops_train_6n_non_embedding_d=6 * small * tokens,
        flops_per_token=6 * total,  # no compute of a run
        loss=300 * measured**-0.07,
    )
    assert [str(each) for each in conventions(source)] == [
        "C = 6 N D",
        "C = flops_train_6n_non_embedding_d",
        "N = params_non_embedding",
        "N = params_non_embedding, C = 6 N D",
        "N = params_non_embedding, C = flops_train_6n_total_d",
    ]
    # A law in N and D sees the count of N alone; one in C that of C: each count once.
    assert [each for each, _ in refit_under(fit, CHINCHILLA, source)] == [NON_EMBEDDING]
    refits = fits(KAPLAN_C, source)
    assert list(refits) == [Convention(c=THUMB), Convention(c="flops_train_6n_non_embedding_d")]
    # C 6 / 6.5 of what the loss depends on: the exponent stays, and the scale moves with it.
    thumb = refits[Convention(c=THUMB)].params
    assert thumb["alpha"] == pytest.approx(0.07, rel=1e-6)
    assert thumb["A"] == pytest.approx(300 * (6.5 / 6) ** -0.07, rel=1e-5)


def test_ratios_that_were_derived_follow(tmp_path):
    width, tokens = grid()
    small, embeddings = 12 * width**3, VOCABULARY * width
    path = tmp_path / "runs.csv"
    columns = {"params_total": small + embeddings, "params_non_embedding": small, "tokens": tokens}
    pd.DataFrame(columns | {"loss": loss_of(small, tokens)}).to_csv(path, index=False)
    source = sources.read(path, "N=params_total", needs=(*OVER_TRAINING.inputs, "loss"))
    (convention,) = conventions(source)
    counted = recount(source, convention)
    np.testing.assert_allclose(counted["M"], tokens / small)
    np.testing.assert_allclose(counted["C"], 6 * small * tokens)


def test_one_convention_leaves_nothing_to_refit(tmp_path):
    width, tokens = grid()
    small = 12 * width**3
    alone = read(tmp_path, params=small, tokens=tokens, loss=loss_of(small, tokens))
    assert conventions(alone) == [] and refit_under(fit, CHINCHILLA, alone) == []
    # No embeddings: the same number by two names is one convention.
    same = read(
        tmp_path, "N=params_total", params_total=small, params_non_embedding=small,
        embedding_dim=width, n_params_trainable=small / 2, tokens=tokens,
        loss=loss_of(small, tokens),
    )  # fmt: skip
    assert conventions(same) == []


def test_a_count_with_holes_is_reported_and_not_fitted(models):
    models.table.loc[models.table.index[3], "params_non_embedding"] = np.nan
    (convention,) = conventions(models)
    with pytest.raises(ValueError, match=r"N is nan in line 5 \(1 such rows\)"):
        recount(models, convention)
    ((other, reason),) = refit_under(fit, CHINCHILLA, models)
    assert other == NON_EMBEDDING and "fill the column in" in reason


def test_a_refit_that_cannot_be_done_is_reported_with_its_reason(tmp_path):
    width, tokens = grid()
    source = read(
        tmp_path, "N=params_total", params_total=12 * width**3, tokens=tokens,
        params_non_embedding=np.full(len(width), 1e6), loss=loss_of(12 * width**3, tokens),
    )  # fmt: skip
    ((_, reason),) = refit_under(fit, CHINCHILLA, source)
    assert isinstance(reason, str) and "N = 1e+06 in every row" in reason
