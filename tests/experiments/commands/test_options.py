"""Options that say nothing without another one are refused when they stand alone."""

from dataclasses import MISSING, fields
from inspect import getmembers, isclass

import pytest

from experiments.cli import main
from experiments.commands.options import analyses, folders, program, training
from experiments.commands.options.shared import Of, Options
from experiments.commands.options.training import RunOptions, ShowPlanOptions

COMMANDS = {
    each
    for module in (analyses, folders, program, training)
    for _, each in getmembers(module, isclass)
    if issubclass(each, Options)
}


def has(command, owner):
    return owner.partition("=")[0] in command.__dataclass_fields__


def owners_of(option):
    marks = getattr(option.type, "__metadata__", ())
    return [owner for mark in marks if isinstance(mark, Of) for owner in mark.owners]


BELONGING = [
    pytest.param(command, option.name, owners[0], id=f"{command.__name__}-{option.name}")
    for command in sorted(COMMANDS, key=lambda each: each.__name__)
    for option in fields(command)
    if (owners := [o for o in owners_of(option) if has(command, o)])
]


@pytest.mark.parametrize(("command", "name", "owner"), BELONGING)
def test_an_option_without_the_one_that_it_belongs_to_is_refused(command, name, owner):
    needed = {each.name: "x" for each in fields(command) if each.default is MISSING}
    with pytest.raises(ValueError, match=r" has no effect without .* leave .* out"):
        command(**{**needed, name: 0.0})
    given = {name: 0.0}
    while owner is not None:  # which may belong to another in turn
        name, _, value = owner.partition("=")
        given[name] = value or "x"
        above = owners_of(command.__dataclass_fields__[name])
        owner = next((each for each in above if has(command, each)), None)
    assert command(**{**needed, **given})


def test_only_options_that_nobody_gave_count_as_not_given():
    for command in COMMANDS:
        for option in fields(command):
            assert not owners_of(option) or option.default in (None, (), False)
    assert RunOptions(name="x", tune=("seed",), reduction=0.0).reduction == 0
    assert ShowPlanOptions(name="x", gpu="h100", mfu=0.0).mfu == 0


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (
            "plan capacity --mfu 0.3",
            "--mfu has no effect without --gpu: give that as well, or leave --mfu out",
        ),
        ("run capacity --reduction 2", "--reduction has no effect without --tune"),
        ("sweep --name x --gpu h100", "--gpu has no effect without --plan"),
        ("sweep --name x --model linear --draws 3", "--draws has no effect without --draw"),
        ("laws list --far", "--far has no effect without `compare`"),
        ("laws compare hoffmann2022 --flops 1e20", "NAME has no effect without `show`"),
        ("models list --gpu h100", "--gpu has no effect without `train-cost`"),
        ("predict --fit x --at N=1 --unit nats/byte", "--unit has no effect without --law"),
    ],
)
def test_the_sentence_names_what_is_written_on_the_command_line(words, says, capsys):
    assert main(words.split()) == 2
    said = capsys.readouterr().err
    assert says in said and said.count("\n") == 1
