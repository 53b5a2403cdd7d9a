"""Published laws beside runs: one way to count, one unit of loss, and refusals before any run."""

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from analysis.published import library
from experiments.commands import overlay
from scaling.pretraining import Pretraining
from scaling.record import RunRecord
from scaling.training import Adam

BYTES = 4.3  # a token of the law's tokenizer
_TRAINED = Pretraining(optimizer=Adam(learning_rate=1e-3), batch_size=1, steps=1)
PLANS: list[Any] = [SimpleNamespace(configs=[SimpleNamespace(train=_TRAINED)])]


def run_of(n: float, d: float, loss: float) -> RunRecord:
    """A run byte by byte whose loss is that of a law per token at N and D in its tokens."""
    per_byte = loss / BYTES
    return RunRecord(
        run_id=f"{n:g}-{d:g}", status="done", config={}, n_params_total=int(3 * n),
        n_params_matmul=int(2 * n), n_params_non_embedding=int(n), n_tokens_seen=int(BYTES * d),
        flops_train=6 * n * d, flops_train_6n_non_embedding_d=6 * n * d, eval_loss_nats=per_byte,
        eval_bits_per_byte=per_byte / math.log(2),
    )  # fmt: skip


@pytest.mark.usefixtures("unwritten_figures")
def test_runs_that_follow_a_law_lie_on_it_whatever_their_tokens(tmp_path, capsys):
    law = library.find("kaplan2020").curve("L(N, D)")
    sizes = [(1e6, 1e9), (1e7, 1e9), (1e7, 1e10)]
    losses = [float(law.predict({"N": n, "D": d})) for n, d in sizes]
    records = [run_of(n, d, loss) for (n, d), loss in zip(sizes, losses, strict=True)]
    chosen = overlay.laws(["kaplan2020", "besiroglu2024"], PLANS, BYTES)
    overlay.show(chosen, records, tmp_path)
    shown = pd.read_csv(tmp_path / "beside.csv")
    np.testing.assert_allclose(shown["kaplan2020"], shown["runs"], rtol=1e-9)
    assert (tmp_path / "beside.png").exists()
    # The other law counts all parameters.
    other = library.find("besiroglu2024").curves[0]
    expected = [float(other.predict({"N": 3 * n, "D": d})) / BYTES for n, d in sizes]
    np.testing.assert_allclose(shown["besiroglu2024"], expected, rtol=1e-9)
    printed = capsys.readouterr().out
    assert "+0.0000" in printed and "14.7 x" in printed


@pytest.mark.parametrize(
    ("name", "bytes_per_token", "said"),
    [
        ("kaplan2021", BYTES, "did you mean 'kaplan2020'"),
        ("li2025", BYTES, "held against a loss of N, D or C"),
        ("ludziejewski2025", BYTES, "counts N as active, embeddings and read-out included"),
        ("kaplan2020", None, "give --bytes-per-token"),
    ],
)
def test_what_does_not_compare_is_refused_with_a_remedy(name, bytes_per_token, said):
    with pytest.raises(ValueError, match=said):
        overlay.laws([name], PLANS, bytes_per_token)


def test_runs_that_are_no_language_models_are_refused():
    plan: Any = SimpleNamespace(configs=[SimpleNamespace(train=None)])
    with pytest.raises(ValueError, match="takes language models"):
        overlay.laws(["kaplan2020"], [plan], BYTES)
    assert overlay.laws([], [plan], None) == []
