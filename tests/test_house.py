"""Who may know whom, and what may load what."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

HOUSE = Path(__file__).parent.parent
MAY_IMPORT = {
    "scaling": {"scaling"},
    "sweeps": {"sweeps", "scaling"},
    "analysis": {"analysis", "scaling.record"},
    "experiments": {"experiments", "analysis", "sweeps", "scaling"},
}


def imports(path: Path) -> set[str]:
    """Modules of the house that a file imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in found if name.split(".")[0] in MAY_IMPORT}


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_rooms_import_only_what_they_may(room):
    files = list((HOUSE / room).rglob("*.py"))
    assert files
    for path in files:
        for name in imports(path):
            allowed = any(
                name == known or name.startswith(f"{known}.") or known.startswith(f"{name}.")
                for known in MAY_IMPORT[room]
            )
            assert allowed, f"{path} imports {name}"


@pytest.mark.parametrize(
    "code",
    [
        "import scaling.record",
        "import scaling.config, sweeps.plan, sweeps.space, sweeps.runner, sweeps.store",
        "from experiments import cli",
        "import experiments.double_descent, experiments.commands.run",
    ],
)
def test_jax_is_loaded_only_by_what_computes(code):
    check = f"import sys; {code}; sys.exit('jax' in sys.modules or 'flax' in sys.modules)"
    subprocess.run([sys.executable, "-c", check], check=True)


def test_records_are_read_without_third_parties():
    check = (
        "import sys; before = set(sys.modules); import scaling.record;"
        "new = {m.split('.')[0] for m in set(sys.modules) - before} - set(sys.stdlib_module_names);"
        "sys.exit(new != {'scaling'})"
    )
    subprocess.run([sys.executable, "-c", check], check=True)
