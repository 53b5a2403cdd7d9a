"""Families of models not of this package: what they must offer, and what code they follow from."""

import dataclasses
import hashlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from scaling import own_code
from scaling.accounting import account
from scaling.config import RunConfig, load_config, own_origins, resolved, run_id
from scaling.data.gaussian import GaussianTeacher
from scaling.data.ngram import NGram
from scaling.models.family import Family
from scaling.models.linear import Linear
from scaling.overrides import parse_overrides
from scaling.own_code import fingerprint
from scaling.pretraining import Muon, Pretraining, ScheduleFree
from scaling.run import run
from scaling.schedules import Constant
from scaling.solving import Ridgeless
from scaling.training import Adam, Gradient
from sweeps.recipes import achieved, aspect_ratio, iso_flop
from sweeps.shapes import Recipe
from sweeps.space import grid

ADAM = Adam(learning_rate=0.01, weight_decay=0.1)
EXAMPLES = GaussianTeacher(n_train=40, dimension=6, n_eval=20)
BY_GRADIENT = Gradient(optimizer=ADAM, objective="squared_error", steps=3, batch_size=8)
TOKENS = NGram(vocab_size=11, context=8, n_tokens=640, n_eval=4)

SQUARES = '''
"""A network of one hidden layer, and what a sweep of it needs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import jax.numpy as jnp
from jax import random

from scaling.model import Model
from scaling.models.family import Family

SCALE = 0.5
WIDTHS = [2, 4]


@dataclass(frozen=True, kw_only=True)
class Squares(Family):
    kind: ClassVar[str] = "squares"
    width: int
    exponents: tuple[float, ...] = (2,)

    def build(self, n_inputs, n_outputs):
        def init(key):
            return {
                "in": SCALE * random.normal(key, (n_inputs, self.width)),
                "out": {"w": jnp.zeros((self.width, n_outputs)), "b": jnp.zeros(n_outputs)},
            }

        return Model(init, partial(outputs, self.exponents))

    def count_params(self, n_inputs, n_outputs):
        return {"in": n_inputs * self.width, "out": (self.width + 1) * n_outputs}

    def flops_forward(self, n_inputs, n_outputs):
        return 2 * self.width * (n_inputs + n_outputs)


def outputs(exponents, params, x):
    hidden = x @ params["in"]
    return sum(hidden**p for p in exponents) @ params["out"]["w"] + params["out"]["b"][None]


def title():
    return "squares"
'''

COUNTS = """
from dataclasses import dataclass
from scaling.models.family import Family
from scaling.model import Model
import jax.numpy as jnp

@dataclass(frozen=True)
class Bigram(Family):
    kind = "bigram"
    takes_tokens = True
    width: int = 4

    def build(self, n_inputs, n_outputs):
        return Model(
            lambda key: (jnp.ones((n_outputs, self.width)), jnp.ones((self.width, n_outputs)),
                         jnp.zeros(n_outputs)),
            lambda params, tokens: params[0][tokens] @ params[1] + params[2][None, None],
        )

    def count_params(self, n_inputs, n_outputs):
        ends = n_outputs * self.width
        return {"embedding": ends, "readout": ends, "norm": n_outputs}

    def flops_forward(self, n_inputs, n_outputs):
        return 2 * n_inputs * self.width * n_outputs
"""


pytestmark = pytest.mark.usefixtures("users_jax")


@pytest.fixture
def load(tmp_path):
    """Loads the only new class of a text, saved as a file."""

    def loaded(text: str, name: str = "mine"):
        path = tmp_path / f"{name}.py"
        path.write_text(text)
        module = own_code.load_file(path, f"experiment_file.{name}")
        return next(
            each for each in vars(module).values()
            if isinstance(each, type) and each.__module__ == module.__name__
        )  # fmt: skip

    return loaded


def trained(model: Family, **changes) -> RunConfig:
    return RunConfig(**({"model": model, "data": EXAMPLES, "train": BY_GRADIENT} | changes))


def on_tokens(model: Family, **changes) -> RunConfig:
    train = Pretraining(**({"optimizer": ADAM, "steps": 3, "batch_size": 4} | changes))
    return RunConfig(model=model, data=TOKENS, train=train)


def test_a_family_of_examples_is_swept_counted_and_trained(load):
    squares = load(SQUARES)
    base = trained(squares(width=2))
    runs = grid(base, {"model.width": [2, 4], "seed": range(2)})
    assert [each.model.width for each in runs] == [2, 2, 4, 4]
    assert len({run_id(each) for each in runs}) == 4
    counts = account(parse_overrides(base, "model.width=4"))
    assert counts.n_params_total == counts.n_params_trainable == 6 * 4 + 4 + 1
    assert counts.flops_train == 3 * 8 * 3 * 2 * 4 * (6 + 1)  # backward is twice forward
    record, curve = run(base)
    assert record.status == "done" and len(curve) == 4
    assert record.config["model"] == {
        "kind": "squares", "width": 2, "exponents": [2.0],
        "fingerprint": own_code.origin(squares).fingerprint,
    }  # fmt: skip


@pytest.mark.slow
def test_a_family_of_tokens_is_pretrained_and_counted_by_every_convention(load):
    config = on_tokens(load(COUNTS)())
    counts = account(config)
    assert counts.n_params_total == 2 * 11 * 4 + 11
    assert counts.n_params_embedding == counts.n_params_matmul == 11 * 4
    assert counts.n_params_non_embedding == 11
    assert counts.flops_train == 6 * 44 * 3 * 4 * 8
    record, _ = run(config)
    assert record.n_tokens_seen == 96
    assert 0 < record.eval_loss_nats < np.log(11)
    free = on_tokens(load(COUNTS)(), optimizer=ScheduleFree(learning_rate=0.01),
                     schedule=Constant())  # fmt: skip
    assert run(free)[0].status == "done"


def test_decay_spares_what_has_one_axis_where_no_role_is_given(load):
    from scaling.trainers.optimizers import param_groups

    groups = param_groups(ADAM, load(COUNTS)(), 8, 11)
    assert [each.weight_decay for each in groups] == [0.1, 0.1, 0.0]
    assert {each.multiplier for each in groups} == {1.0}


def test_a_family_with_a_width_is_the_base_of_a_recipe(load):
    base = on_tokens(load(COUNTS)())
    base = dataclasses.replace(base, data=dataclasses.replace(TOKENS, n_tokens=2**16))
    recipe = Recipe(base=base, multiple_of=2)
    (row,) = achieved(iso_flop([1e7], [110], recipe))
    assert (row.width, row.depth, row.n_params) == (10, None, 110)
    assert row.flops == pytest.approx(1e7, rel=0.01)
    with pytest.raises(
        ValueError, match=r"rule for depth, but model\.kind = 'bigram' has no field"
    ):
        Recipe(base=base, depth=aspect_ratio(2))


def test_a_configuration_is_read_back_by_whoever_has_the_class(load):
    squares = load(SQUARES)
    config = trained(squares(width=3, exponents=(1, 2)))
    plain = resolved(config)
    assert run_id(load_config(plain, [squares])) == run_id(config)
    with pytest.raises(ValueError, match="'squares' is not a family of this package: give its"):
        load_config(plain)
    with pytest.raises(ValueError, match="did you mean 'width'"):
        load_config(plain | {"model": {"kind": "squares", "widht": 3}}, [squares])
    changed = load(SQUARES.replace("hidden**p", "(hidden + 1)**p"))
    with pytest.raises(
        ValueError, match=r"model\.fingerprint .* it has changed, so this is another"
    ):
        load_config(plain, [changed])


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ('return "squares"', 'return "a title"', True),
        ("WIDTHS = [2, 4]", "WIDTHS = [8]", True),
        ('"""A network of one', '"""The network of one', True),
        ("SCALE = 0.5", "SCALE = 0.25", False),
        ("hidden**p for", "hidden * p for", False),
        ("jnp.zeros(n_outputs)", "jnp.ones(n_outputs)", False),
        ("@dataclass(frozen=True, kw_only=True)", "@dataclass(frozen=True)", False),
        ("from functools import partial", "from toolz import partial", False),
        ("def title", "outputs.scale = 2\n\n\ndef title", False),
        ("def title", "SCALE *= 2\n\n\ndef title", False),
        ("def title", "if SCALE:\n    SCALE = 1\n\n\ndef title", False),
    ],
)
def test_identity_follows_the_code_that_the_class_reaches_and_no_other(old, new, same):
    assert SQUARES.count(old) == 1
    before, after = (fingerprint(t, "Squares") for t in (SQUARES, SQUARES.replace(old, new)))
    assert (before == after) is same


def test_the_identity_of_code_is_that_of_its_text_on_every_machine():
    text = "def f():\n    return 1"
    expected = hashlib.sha256(text.encode()).hexdigest()[:32]
    for source in (text, f"X = 3\n{text}\n", f"X = 3\n\n\n{text}\n".replace("\n", "\r\n")):
        assert fingerprint(source, "f") == expected


@pytest.mark.parametrize("mark", ["\x0c", "\x0b", "\x1c", "\x1e", "\x85", "\u2028"])
def test_only_ends_of_lines_part_the_lines_of_code(mark):
    source = f"import math  # {mark}\n\nclass A:\n    x = 1\n    y = 2\n"
    assert fingerprint(source, "A") != fingerprint(source.replace("y = 2", "y = 3"), "A")


def test_edits_within_a_second_are_seen(load):
    texts = [SQUARES, SQUARES.replace("SCALE = 0.5", "SCALE = 0.7")]
    first, second = (run(trained(load(text)(width=2)))[0] for text in texts)
    assert first.run_id != second.run_id
    assert first.weight_norm_l2 != second.weight_norm_l2


REFUSED = [
    ('kind: ClassVar[str] = "squares"', "", "Squares has no kind: declare one, such as kind: Cl"),
    ('kind: ClassVar[str] =', "kind: str =", "Squares has no kind: declare one"),
    ('"squares"', '"mlp"', "kind 'mlp' of scaling.models.mlp.MLP: give it another"),
    ("frozen=True, ", "", "or a frozen dataclass. Squares is not one"),
    ("def flops_forward", "def flops_forwards", "Squares lacks flops_forward: define"),
    ("def build", "def make", "Squares lacks build: define what"),
    ("(Family)", "", "lacks takes_tokens, takes_segments, visibilities, check, resolve, count_tr"),
    ("width: int", "width: int\n    fingerprint: str = ''", "a field 'fingerprint'"),
    ("width: int", "width: int | str", "give"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "says"), REFUSED)
def test_what_is_no_family_is_refused_before_anything_is_spent(load, old, new, says):
    squares = load(SQUARES.replace(old, new, 1))
    with pytest.raises(ValueError, match=says):
        trained(squares(width=[2] if says == "give" else 2))


def test_values_are_checked_and_have_one_spelling(load):
    squares = load(SQUARES)
    assert run_id(trained(squares(width=2.0, exponents=[2]))) == run_id(trained(squares(width=2)))
    with pytest.raises(ValueError, match=r"squares\.width = 2\.5: give a whole number"):
        trained(squares(width=2.5))
    with pytest.raises(ValueError, match="no field 'widht' in squares; did you mean 'width'"):
        parse_overrides(trained(squares(width=2)), "model.widht=3")


CELLS = """
@dataclass(frozen=True)
class Cell:
    scale: float = 1


@dataclass(frozen=True)
class Gate:
    kind: ClassVar[str] = "gate"
    scale: float = 1


"""


@pytest.mark.parametrize(("held", "name"), [("Cell", "Cell"), ("Gate | Cell", "Gate")])
def test_dataclasses_within_are_checked_and_have_one_spelling(load, held, name):
    before = "@dataclass(frozen=True, kw_only=True)\nclass Squares"
    text = SQUARES.replace("width: int", f"width: int\n    cell: {held}").replace(
        before, CELLS + before
    )

    def configured(text: str, scale: object) -> RunConfig:
        load(text)
        module = sys.modules["experiment_file.mine"]
        return trained(module.Squares(width=2, cell=getattr(module, name)(scale)))

    assert run_id(configured(text, 1)) == run_id(configured(text, 1.0))
    with pytest.raises(ValueError, match=r"\.scale = 'much': give a number"):
        configured(text, "much")
    with pytest.raises(ValueError, match=rf"squares\.cell: {name} is not a frozen dataclass"):
        configured(text.replace("@dataclass(frozen=True)", "@dataclass"), 1)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda f, g: on_tokens(f(width=2)), "takes tokens, .* not 'squares' on 'ngram'"),
        (lambda f, g: trained(g()), "takes no tokens, and model.kind = 'bigram'"),
        (lambda f, g: trained(f(width=2), train=Ridgeless()), "linear read-out, which model.kind"),
        (
            lambda f, g: on_tokens(g(), optimizer=Muon(learning_rate=0.1, adam=ADAM)),
            "'bigram' gives them no roles: use 'adam', or define `parameters` and `rule`",
        ),
        (lambda f, g: on_tokens(g(), activation_scales=True), "'bigram' does not offer"),
    ],
)
def test_families_are_trained_as_they_can_be(load, make, says):
    with pytest.raises(ValueError, match=says):
        make(load(SQUARES), load(COUNTS, "tokens"))


@pytest.mark.parametrize(
    ("text", "old", "new", "says"),
    [
        (SQUARES, "(self.width + 1)", "self.width", "counts 14 parameters .* its model has 15"),
        (SQUARES, "hidden = x @", "hidden = x[:1] @", r"maps \(2, 6\) to \(1, 1\)"),
        (
            COUNTS,
            "[tokens]",
            "[tokens[:, -1:]]",
            r"maps \(2, 8\) to \(2, 1, 11\), not \(2, 8, 11\)",
        ),
        (
            COUNTS,
            "width: int = 4",
            "takes_segments = True",
            r"to params and inputs and segments: got an unexpected keyword argument 'segments'",
        ),
        (COUNTS, "width: int = 4", "takes_dropout = True", "unexpected keyword .* 'dropout_key'"),
    ],
)
def test_a_model_that_is_not_as_its_family_says_is_not_trained(load, text, old, new, says):
    assert text.count(old) == 1
    new = f"{old}\n    {new}" if old == "width: int = 4" else new
    family = load(text.replace(old, new))
    config = on_tokens(family()) if family.kind == "bigram" else trained(family(width=2))
    with pytest.raises(ValueError, match=says):
        run(config)


def test_origins_of_own_classes_are_found_once_each(load, tmp_path):
    squares, bigram = load(SQUARES), load(COUNTS, "tokens")
    configs = [trained(squares(width=2)), trained(squares(width=4)), on_tokens(bigram())]
    configs.append(trained(Linear(n_features=2)))
    first, second = own_origins(configs)
    assert (first.file, first.name) == (str(tmp_path / "mine.py"), "Squares")
    assert (second.file, second.name) == (str(tmp_path / "tokens.py"), "Bigram")
    assert own_code.load(second).kind == "bigram"
    (tmp_path / "mine.py").write_text(SQUARES.replace("SCALE = 0.5", "SCALE = 0.6"))
    with pytest.raises(ValueError, match=r"mine\.py: Squares has changed since this command began"):
        own_code.load(first)
    twin = load(COUNTS, "twin")
    with pytest.raises(ValueError, match=r"model\.kind = 'bigram' is both .* give each a kind of"):
        own_origins([on_tokens(bigram()), on_tokens(twin())])


def test_families_of_a_file_are_loaded_from_one_execution_of_it(load):
    load(SQUARES + "\n\n@dataclass(frozen=True)\nclass Cubes(Squares):\n    kind = 'cubes'\n")
    module = sys.modules["experiment_file.mine"]
    origins = [own_code.origin(cls) for cls in (module.Squares, module.Cubes)]
    squares, cubes = map(own_code.load, origins)
    assert issubclass(cubes, squares)


@pytest.mark.medium
def test_a_field_called_dropout_promises_nothing_and_a_property_may(load):
    plain = COUNTS.replace("width: int = 4", "width: int = 4\n    dropout: float = 0.5")
    assert run(on_tokens(load(plain)()))[0].status == "done"
    says = "    takes_dropout = property(lambda self: self.dropout > 0)\n\n    def build"
    drops = plain.replace("    def build", says).replace(
        "lambda params, tokens: params[0][tokens]",
        "lambda params, tokens, dropout_key=None: (dropout_key is None) * params[0][tokens]",
    )
    family = load(drops.replace("jnp.ones((self", "jnp.eye(*(self"), "drops")
    with_it, without = (run(on_tokens(family(dropout=p)))[1][0].train_loss for p in (0.5, 0))
    # All of the embedding is dropped, and the biases start at 0.
    assert with_it == pytest.approx(np.log(11)) != without


def test_a_class_that_cannot_be_found_again_is_refused():
    @dataclasses.dataclass(frozen=True)
    class Local(Family):
        kind = "local"

        def build(self, n_inputs, n_outputs):
            raise NotImplementedError

        def count_params(self, n_inputs, n_outputs):
            return {}

        def flops_forward(self, n_inputs, n_outputs):
            return 0

    with pytest.raises(ValueError, match="define it at the top of a module that is imported"):
        run_id(trained(Local()))


def test_a_module_in_the_path_is_imported_by_its_name(tmp_path, monkeypatch):
    (tmp_path / "my_families.py").write_text(SQUARES)
    monkeypatch.syspath_prepend(tmp_path)
    import my_families

    try:
        where = own_code.origin(my_families.Squares)
        assert (where.module, where.file) == ("my_families", None)
        assert own_code.load(where) is my_families.Squares
    finally:
        del sys.modules["my_families"]


def test_a_family_is_configured_and_priced_without_jax(tmp_path):
    lazy = SQUARES.replace("import jax.numpy as jnp\nfrom jax import random\n", "")
    (tmp_path / "lazy_family.py").write_text(lazy)
    code = (
        "import sys; from lazy_family import Squares; from scaling.config import *;"
        "from scaling.data.gaussian import GaussianTeacher; from scaling.training import *;"
        "from sweeps.plan import make_plan; make_plan('x', [RunConfig(model=Squares(width=2),"
        "data=GaussianTeacher(n_train=9, dimension=3, n_eval=3),"
        "train=Gradient(objective='squared_error', optimizer=SGD(learning_rate=1), steps=2))]);"
        "sys.exit('jax' in sys.modules)"
    )
    env = {"PYTHONPATH": f"{tmp_path}:{Path(__file__).parents[2]}"}
    subprocess.run([sys.executable, "-c", code], check=True, env=env)
