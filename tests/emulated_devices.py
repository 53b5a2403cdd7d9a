"""Programs over several emulated devices: a process has as many as it began with."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any


def found_by(program: Path, n_devices: int, folder: Path) -> Any:
    """What a program that is given a folder prints as JSON."""
    environment = {
        "JAX_NUM_CPU_DEVICES": str(n_devices),
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    out = subprocess.run(
        [sys.executable, str(program), str(folder)],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert out.returncode == 0, out.stderr
    return json.loads(out.stdout)
