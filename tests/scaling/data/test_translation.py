"""The planted language pair: its rule, its noise by word and by pair, nested draws."""

import dataclasses

import numpy as np
import pytest

from scaling.data.label_noise import LabelNoise
from scaling.data.translation import Lexicon, PlantedTranslation, lexicon

DATA = PlantedTranslation(n_train=300, n_words=12, length=7, n_eval=100)


def plainly_translated(rule, sentence):
    """A word at a time: senses by the word before, phrases from their ends."""
    phrases, phrase, before = [], [], None
    for word in sentence:
        after_modifier = before is not None and before < rule.n_modifiers
        phrase.insert(0, rule.senses[int(after_modifier), word])
        if word >= rule.n_modifiers:
            phrases, phrase = [*phrases, *phrase], []
        before = word
    return [*phrases, *phrase]


def test_translations_are_those_of_the_rule_word_by_word():
    rule, found = lexicon(12, 0), DATA.load(3)
    for inputs, targets in (
        (found.train_inputs, found.train_targets_clean),
        (found.eval_inputs, found.eval_targets),
    ):
        for sentence, target in zip(inputs[:, :7], targets, strict=True):
            assert plainly_translated(rule, sentence) == target.tolist()


def test_a_phrase_is_reversed_and_its_words_take_the_sense_after_modifiers():
    rule = Lexicon(2, np.array([[10, 11, 12, 13], [20, 21, 22, 23]]))
    sources = np.array([[0, 1, 2, 3, 0, 3], [2, 2, 1, 1, 1, 0]])
    assert rule.translate(sources).tolist() == [
        [22, 21, 10, 13, 23, 10],  # "0 1 2", "3", "0 3"
        [12, 12, 20, 21, 21, 11],  # "2", "2", and modifiers without a head
    ]


def test_the_decoder_reads_the_target_one_word_late():
    data = dataclasses.replace(DATA, label_noise=LabelNoise(fraction=0.3))
    found = data.load(0)
    assert found.train_inputs.shape == (300, data.n_inputs) == (300, 14)
    assert np.all(found.train_inputs[:, 7] == 12) and data.n_outputs == data.n_classes == 13
    assert np.array_equal(found.train_inputs[:, 8:], found.train_targets[:, :-1])
    assert np.array_equal(found.eval_inputs[:, 8:], found.eval_targets[:, :-1])


@pytest.mark.parametrize("unit", ["token", "pair"])
@pytest.mark.parametrize(("convention", "wrong"), [("wrong_class", 1), ("any_class", 11 / 12)])
def test_a_share_of_words_or_of_pairs_is_wrong(unit, convention, wrong):
    noise = LabelNoise(fraction=0.25, convention=convention)
    data = dataclasses.replace(DATA, n_train=4000, label_noise=noise, noise_unit=unit)
    found = data.load(1)
    changed = found.train_targets != found.train_targets_clean
    # 28,000 words, or 4,000 pairs: standard errors of 0.0026 and 0.007
    assert changed.mean() == pytest.approx(0.25 * wrong, abs=0.01 if unit == "token" else 0.025)
    assert 0 <= found.train_targets.min() and found.train_targets.max() < 12
    if unit == "pair":
        of_pair = changed.mean(axis=1)
        assert np.mean(of_pair > 0.5) == pytest.approx(0.25, abs=0.025)
        assert of_pair[of_pair > 0].mean() == pytest.approx(wrong, abs=0.01)


@pytest.mark.parametrize("unit", ["token", "pair"])
def test_fewer_pairs_and_less_noise_are_part_of_more(unit):
    large = dataclasses.replace(DATA, label_noise=LabelNoise(fraction=0.4), noise_unit=unit)
    many, few = large.load(2), dataclasses.replace(large, n_train=90).load(2)
    assert np.array_equal(few.train_inputs, many.train_inputs[:90])
    assert np.array_equal(few.train_targets, many.train_targets[:90])
    assert np.array_equal(few.eval_inputs, many.eval_inputs)
    less = dataclasses.replace(large, label_noise=LabelNoise(fraction=0.1)).load(2)
    changed = less.train_targets != less.train_targets_clean
    assert np.array_equal(less.train_targets[changed], many.train_targets[changed])
    assert not np.array_equal(many.train_inputs, large.load(4).train_inputs)


def test_the_language_pair_is_that_of_its_own_seed_whatever_the_run():
    other = dataclasses.replace(DATA, grammar_seed=1)
    assert np.array_equal(other.load(0).train_inputs[:, :7], DATA.load(0).train_inputs[:, :7])
    assert not np.array_equal(other.load(0).eval_targets, DATA.load(0).eval_targets)


@pytest.mark.parametrize("fields", [{"n_words": 3}, {"length": 1}, {"n_train": 0}])
def test_languages_too_small_are_refused(fields):
    with pytest.raises(ValueError, match=f"{next(iter(fields))} = "):
        dataclasses.replace(DATA, **fields)
