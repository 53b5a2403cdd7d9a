"""A law of one's own is a TOML file; what is wrong in it is named, with what is allowed."""

import pytest

from analysis.published import library

OWN = """
title = "Our law"
paper = "Us 2026"
loss = "nats/token"

[[curves]]
form = "chinchilla"
constants = { E = 1.7, A = 400, B = 410, alpha = 0.34, beta = 0.28 }
ranges = { N = [1e7, 1e10] }
"""


def write(folder, text):
    path = folder / "ours.toml"
    path.write_text(text)
    return str(path)


def test_an_own_law_predicts(tmp_path):
    entry = library.find(write(tmp_path, OWN))
    assert entry.name == "ours"
    loss = entry.curves[0].predict({"N": 1e9, "D": 1e10})
    assert loss == pytest.approx(1.7 + 400 * 1e9**-0.34 + 410 * 1e10**-0.28)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('title = "Our law"', "", "title is missing"),
        ('form = "chinchilla"', 'form = "chincilla"', "did you mean 'chinchilla'"),
        (", beta = 0.28 }", " }", "misses beta"),
        ("beta = 0.28", "betta = 0.28", "did you mean 'beta'"),
        ("E = 1.7", 'E = "1.7"', "E = '1.7'; give a number"),
        ("E = 1.7", "E = true", "E = True; give a number"),
        ("ranges = { N = [1e7, 1e10] }", "ranges = { N = [1e10, 1e7] }", r"\[least, largest\]"),
        ("ranges = { N = [1e7, 1e10] }", "ranges = { X = [1, 2] }", r"\[least, largest\]"),
        ("ranges =", "range =", "did you mean 'ranges'"),
        ("[[curves]]", "[curves]", r"write \[\[curves\]\]"),
        ("title =", "title", "no TOML file"),
        ('loss = "nats/token"', 'loss = "nats/token"\nlater = "no"', "list of texts"),
        (
            'form = "chinchilla"',
            'form = "chinchilla"\nunits = { N = "dozens" }',
            "units are 1, FLOPs, PF-days",
        ),
        ('form = "chinchilla"', 'form = "chinchilla"\noutput = "los"', "did you mean 'loss'"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, old, new, said):
    assert old in OWN
    with pytest.raises(ValueError, match=said) as refused:
        library.find(write(tmp_path, OWN.replace(old, new)))
    assert "ours.toml" in str(refused.value)


def test_a_missing_file_and_one_that_is_no_text_are_told(tmp_path):
    with pytest.raises(ValueError, match="no such file"):
        library.find(str(tmp_path / "nothing.toml"))
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match="no TOML file"):
        library.find(str(tmp_path / "binary.toml"))
    (tmp_path / "large.toml").write_text("#" * 1_000_001)
    with pytest.raises(ValueError, match="at most 1,000,000"):
        library.find(str(tmp_path / "large.toml"))
