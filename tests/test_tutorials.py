"""What tutorials say is what happens: their files and commands, in an empty folder."""

import pytest
from house import HOUSE
from needed_programs import needs
from tutorials import Command, File, follow, steps

TUTORIALS = HOUSE / "docs" / "tutorials"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["first_sweep", "own_model", "own_law", "cluster"])
def test_tutorials_do_what_they_say(name, tmp_path):
    follow(TUTORIALS / f"{name}.md", tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["wandb", "hydra"])
def test_what_other_tools_left_is_read(name, tmp_path):
    follow(HOUSE / "docs" / "coming_from" / f"{name}.md", tmp_path)


@pytest.mark.slow
def test_a_sweep_becomes_a_paper_as_the_tutorial_says(tmp_path):
    needs("latexmk", "pdflatex")
    follow(TUTORIALS / "paper.md", tmp_path)


def test_steps_of_a_page_are_its_files_and_commands(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "# Page\n\n```{code-block} python\n:caption: a.py\n\nprint(1)\n```\n\n"
        "```console\n$ python a.py\n1\n$ ls\na.py\n```\n\n```text\n$ no command\n```\n"
    )
    assert steps(page) == [
        File("a.py", "print(1)\n"),
        Command("python a.py", "1\n"),
        Command("ls", "a.py\n"),
    ]


def test_a_page_whose_output_has_changed_is_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("```console\n$ echo two\none\n```\n")
    with pytest.raises(AssertionError, match="two"):
        follow(page, tmp_path)
