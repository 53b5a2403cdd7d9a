"""The plan of a run over many devices: whether it fits, and how fast it is."""

from dataclasses import dataclass

from analysis.guards import positive
from analysis.parallelism.devices import Device
from analysis.parallelism.layout import Layout, Recipe, misfits
from analysis.parallelism.memory import Memory, memory
from analysis.parallelism.program import program_memory
from analysis.parallelism.shape import TransformerShape
from analysis.parallelism.step_time import StepTime, repeats, step_time
from analysis.parallelism.traffic import Traffic, links, traffic


@dataclass(frozen=True)
class Plan:
    """A layout judged.

    Attributes:
        shape: The model.
        device: The accelerator, of which there are `layout.size`.
        layout: Devices along each axis.
        recipe: How a step is computed.
        memory: Bytes of the fullest device.
        sent: Bytes that a device sends in a step.
        seconds: Of a step.
    """

    shape: TransformerShape
    device: Device
    layout: Layout
    recipe: Recipe
    memory: Memory
    sent: Traffic
    seconds: StepTime

    @property
    def fits(self) -> bool:
        """Whether the fullest device has room."""
        return bool(self.memory.total <= self.device.free)

    @property
    def tokens(self) -> int:
        """Tokens of a step."""
        return self.recipe.batch * self.shape.context

    @property
    def tokens_per_second(self) -> float:
        """Tokens per second of all devices together."""
        return float(self.tokens / self.seconds.total)

    @property
    def utilisation(self) -> float:
        """Model FLOPs over the peak (Chowdhery et al. 2022, arXiv 2204.02311, appendix B)."""
        return self._share(self.shape.training_flops)

    @property
    def hardware_utilisation(self) -> float:
        """Utilisation that counts what is computed again, too."""
        blocks = self.shape.layers * self.shape.block_flops * repeats(self.shape, self.recipe)
        return self._share(blocks + 3 * self.shape.readout_flops)

    def days(self, tokens: float) -> float:
        """Returns the days of a training on so many tokens."""
        positive("tokens", tokens, "give e.g. 1e12")
        return tokens / self.tokens_per_second / 86_400

    def near(self) -> dict[str, bool]:
        """Returns whether an axis stays inside a node, by its name."""
        return {axis: bool(each.is_near) for axis, each in links(self.layout, self.device).items()}

    def _share(self, flops: float) -> float:
        peak = float(self.layout.size) * self.device.peak
        return flops * self.tokens_per_second / peak


def plan(shape: TransformerShape, device: Device, layout: Layout, recipe: Recipe) -> Plan:
    """Judges a layout.

    Raises:
        ValueError: A layout that does not divide the model or the batch.
    """
    wrong = misfits(shape, layout, recipe)
    if wrong:
        raise ValueError("; ".join(wrong))
    return Plan(
        shape,
        device,
        layout,
        recipe,
        memory_of(shape, layout, recipe),
        traffic(shape, layout, recipe),
        step_time(shape, layout, recipe, device),
    )


def memory_of(shape: TransformerShape, layout: Layout, recipe: Recipe) -> Memory:
    """Returns the memory of a device, as this project's program or others use it."""
    return (program_memory if recipe.own else memory)(shape, layout, recipe)
