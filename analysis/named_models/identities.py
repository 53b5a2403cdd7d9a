"""Facts on a model held against each other: 6 N D, and chips times hours times peak.

| symbol | meaning | unit |
|---|---|---|
| C | training compute | FLOPs |
| N | parameters that one token uses | 1 |
| D | tokens seen | 1 |
"""

from collections.abc import Mapping
from dataclasses import dataclass

from analysis.guards import positive
from analysis.laws.chinchilla import FLOPS_PER_PARAMETER_AND_TOKEN
from analysis.named_models.registry import Model
from analysis.planning.device_prices import PEAK_FLOPS, accelerator

PEAKS: Mapping[str, float] = PEAK_FLOPS | {
    "v100": 125e12,  # NVIDIA V100 Tensor Core GPU datasheet (2017), SXM2, float16
    "tpu-v2": 46e12,  # Google Cloud TPU v2 documentation, per chip, bfloat16
    "tpu-v3": 123e12,  # Google Cloud TPU v3 documentation, per chip, bfloat16
    "h800": 989.4e12,  # the tensor cores of the H100; DeepSeek-V3 report, section 3.1
    "ascend-910": 256e12,  # Huawei Ascend 910 announcement (2019), float16
}
"""Peak FLOP/s of the chips that named models were trained on, dense, at the precision of training.
"""

_SECONDS_PER_HOUR = 3600.0


@dataclass(frozen=True)
class Checked:
    """Two ways to the compute of a model, as shares of what its source says.

    Attributes:
        six_n_d: 6 N D over C, N being those parameters that a token uses; None where not known.
        hardware: chips x hours x peak x utilisation over C; None where not known.
    """

    six_n_d: float | None
    hardware: float | None


def checked(model: Model) -> Checked:
    """Returns both ways to a model's compute as shares of the compute stated."""
    by_size = by_hardware = None
    if model.flops is not None:
        if model.active is not None and model.tokens is not None:
            product = FLOPS_PER_PARAMETER_AND_TOKEN * model.active * model.tokens
            by_size = product / model.flops
        if None not in (model.chips, model.hours, model.utilisation) and model.chip:
            assert model.chips and model.hours and model.utilisation
            rate = PEAKS[model.chip] * model.utilisation * _SECONDS_PER_HOUR
            by_hardware = model.chips * model.hours * rate / model.flops
    return Checked(by_size, by_hardware)


@dataclass(frozen=True)
class TrainingPrice:
    """What a training of given FLOPs costs on a chip.

    Attributes:
        hours: Device-hours.
        dollars: Price.
    """

    hours: float
    dollars: float


def training_price(
    flops: float, chip: str, *, mfu: float, dollars_per_hour: float
) -> TrainingPrice:
    """Returns device-hours and dollars of a training.

    Args:
        flops: C.
        chip: A name of `PEAKS`; case, blanks, - and _ do not matter.
        mfu: Share of the peak that goes into the model's FLOPs, above 0 and up to 1.
        dollars_per_hour: Price of a device-hour.

    Raises:
        ValueError: An unknown chip (the nearest is given), or a number out of range.
    """
    device = accelerator(chip, mfu, dollars_per_hour, PEAKS)
    positive("flops", flops, "give e.g. 1e24")
    hours = device.hours(flops)
    return TrainingPrice(hours, hours * dollars_per_hour)
