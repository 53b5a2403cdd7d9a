"""Runs that learn what a teacher predicts: their loss, identity, price, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax
import pytest
from random_parameters import random_parameters

from scaling.accounting import account
from scaling.config import _PARENTS, RunConfig, load_config, resolved, run_id
from scaling.data.ngram import NGram
from scaling.models.transformer import Transformer
from scaling.objectives.causal import Causal
from scaling.objectives.distilled import Distilled
from scaling.objectives.masked import Masked
from scaling.objectives.objective import SpecialTokens
from scaling.overrides import replace_at, replace_together
from scaling.pretraining import Pretraining
from scaling.run import run
from scaling.trainers import token_setup, token_step
from scaling.training import SGD, Adam
from sweeps.plan import make_plan

TEACHER = RunConfig(
    model=Transformer(width=16, depth=1, heads=2),
    data=NGram(vocab_size=8, context=16, n_tokens=2**13, n_eval=12, repeat=True),
    train=Pretraining(optimizer=Adam(learning_rate=0.01), batch_size=4, steps=6, evaluations=2),
)
STUDENT = replace_together(
    TEACHER, {"model.width": 8, "train.objective": Distilled(), "distilled_from": TEACHER}
)


@pytest.mark.medium
def test_the_loss_is_the_cross_entropy_to_the_teacher():
    students, teachers = (run.model.build(16, 8) for run in (STUDENT, TEACHER))
    windows = TEACHER.data.load(0).sequences(0, 0, 4)
    plan = STUDENT.train
    assert isinstance(plan, Pretraining)
    setup = token_setup.Setup(students, plan, None, 4, SpecialTokens(8), teacher=teachers)

    @jax.jit
    def both(one, other, windows):
        ours = token_step._objective(setup, one, windows, token_step.Keys(), other)[0]
        predicted = jax.nn.softmax(teachers.apply(other, windows[:, :-1]))
        logs = jax.nn.log_softmax(students.apply(one, windows[:, :-1]))
        return ours, -(predicted * logs).sum(-1).mean()

    ours, expected = both(random_parameters(students), random_parameters(teachers), windows)
    assert float(ours) == pytest.approx(float(expected), rel=1e-6)


@pytest.mark.medium
def test_distilling_a_model_into_itself_changes_nothing():
    changes = {"train.objective": Distilled(), "train.optimizer": SGD(learning_rate=1.0)}
    again = replace_together(TEACHER, changes | dict.fromkeys(_PARENTS, TEACHER))
    teacher, student = run(TEACHER)[0], run(again)[0]
    assert student.eval_loss_nats == pytest.approx(teacher.eval_loss_nats, abs=1e-6)
    assert student.weight_norm_l2 == pytest.approx(teacher.weight_norm_l2, rel=1e-6)
    # The loss in training is the teacher's own entropy, which is not its loss on the text.
    assert student.train_loss_nats != pytest.approx(teacher.train_loss_nats, abs=1e-6)


def test_the_teacher_is_part_of_the_identity():
    other = replace(STUDENT, distilled_from=replace_at(TEACHER, "seed", 1))
    plain = resolved(STUDENT)
    assert plain["distilled_from"] == resolved(TEACHER)
    assert run_id(other) != run_id(STUDENT) == run_id(load_config(plain))
    assert "distilled_from" not in resolved(TEACHER)
    plain["distilled_from"]["data"]["fingerprint"] = "ngram/0"
    with pytest.raises(ValueError, match=r"^distilled_from: data.fingerprint 'ngram/0'"):
        load_config(plain)


def test_teachers_are_planned_and_priced_once_and_before_their_students():
    students = [replace_at(STUDENT, "seed", seed) for seed in range(3)]
    both = replace(students[0], init_from=replace_at(TEACHER, "model.width", 8))
    plan = make_plan("x", [*students, both])
    teacher = run_id(TEACHER)
    assert [each.teacher_id for each in plan.runs] == [None, *[teacher] * 3, None, teacher]
    assert [each.is_parent for each in plan.runs] == [True, *[False] * 3, True, False]
    assert plan.runs[-1].parents == (plan.runs[-2].run_id, teacher)
    own = account(replace_together(TEACHER, {"model.width": 8})).flops_train
    seen = account(STUDENT).n_examples_seen
    predicting = TEACHER.model.flops_forward(16, 8) * seen
    assert account(STUDENT).flops_train == own + predicting


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"distilled_from": None}, "the run has no teacher: give both, or neither"),
        ({"train.objective": Causal()}, "the run has another objective: give both, or neither"),
        ({"data.context": 8}, "reads 16 tokens of 8 kinds, and the run 8 of 8"),
        ({"data.vocab_size": 9}, "reads 16 tokens of 8 kinds, and the run 16 of 9"),
        ({"train.mesh.data": 2}, "distilled_from takes 1 devices and the run 2"),
        ({"train.evaluate_on": (Distilled(),)}, "whose held-out loss is that of 'causal'"),
        (
            {"distilled_from": replace_at(TEACHER, "train.objective", Masked())},
            "does not predict each next token",
        ),
    ],
)
def test_what_cannot_be_taught_is_refused(changes: dict[str, Any], says: str):
    with pytest.raises(ValueError, match=says):
        replace_together(STUDENT, changes)
