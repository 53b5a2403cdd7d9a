"""Rates of runs: identities, and peaks that agree wherever they are reported."""

import jax
import pytest

from analysis.planning.device_prices import PEAK_FLOPS as IN_ANALYSIS
from scaling.accounting import account
from scaling.config import RunConfig
from scaling.data.ngram import NGram
from scaling.devices import throughput
from scaling.models.transformer import Transformer
from scaling.pretraining import Pretraining
from scaling.run import run
from scaling.training import Adam


def test_rates_are_quotients():
    found = throughput.throughput(tokens=1e6, flops=3e12, seconds=2.0, peak=6e12)
    assert found == (5e5, 1.5e12, 0.25)
    assert throughput.throughput(1e6, 3e12, 2.0, None).model_flops_utilisation is None


@pytest.mark.slow
def test_a_run_tells_how_fast_it_went():
    config = RunConfig(
        model=Transformer(width=8, depth=1, heads=2),
        data=NGram(vocab_size=8, context=8, n_tokens=2**13, n_eval=64),
        train=Pretraining(optimizer=Adam(learning_rate=0.01), batch_size=4, steps=64),
    )
    record, _ = run(config)
    counts = account(config)
    seconds = record.train_seconds
    assert 0 < seconds < record.wall_seconds
    assert record.tokens_per_second == pytest.approx(counts.n_tokens_seen / seconds)
    assert record.model_flops_per_second == pytest.approx(counts.flops_train / seconds)
    peak = record.environment["device_peak_flops_per_second"]
    assert record.model_flops_utilisation == pytest.approx(record.model_flops_per_second / peak)
    assert 0 < record.model_flops_utilisation < 1


@pytest.mark.parametrize(
    ("device_kind", "name"),
    [
        ("NVIDIA A100-SXM4-80GB", "a100"),
        ("NVIDIA H100 80GB HBM3", "h100"),
        ("NVIDIA H200", "h200"),
        ("NVIDIA B200", "b200"),
        ("TPU v4", "tpu-v4"),
        ("TPU v5 lite", "tpu-v5e"),
        ("TPU v5p", "tpu-v5p"),
        ("TPU v5", "tpu-v5p"),
        ("NVIDIA H200 NVL", None),
        ("NVIDIA GB200", None),
        ("NVIDIA GeForce GTX 1080", None),
    ],
)
def test_peaks_of_accelerators(device_kind, name, monkeypatch):
    assert peak_of(device_kind, monkeypatch) == (None if name is None else IN_ANALYSIS[name])


def test_cards_are_slower_than_modules(monkeypatch):
    """Half of what NVIDIA states with sparsity: 1,671 and 1,513 TFLOP/s."""
    assert peak_of("NVIDIA H100 NVL", monkeypatch) == 835.5e12
    assert peak_of("NVIDIA H100 PCIe", monkeypatch) == 756e12


def peak_of(device_kind, monkeypatch):
    class Device:
        platform = "gpu"

    Device.device_kind = device_kind
    monkeypatch.setattr(jax, "devices", lambda: [Device()])
    return throughput.peak_flops_per_second.__wrapped__()
