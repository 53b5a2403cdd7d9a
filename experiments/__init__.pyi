from experiments.experiment import Expected as Expected
from experiments.experiment import Findings as Findings
from experiments.experiment import Measured as Measured
from experiments.experiment import Sweep as Sweep
