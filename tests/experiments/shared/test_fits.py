"""Fits as a report keeps them: the numbers of the fit, its profiles, the law under other losses."""

import json
from dataclasses import asdict
from typing import NamedTuple

import numpy as np
import pytest

from analysis.fitting.fit import fit
from analysis.fitting.profile import profile_likelihood
from analysis.fitting.result import FitResult
from analysis.laws import POWER_LAW
from experiments.pages.fits import fits_shown
from experiments.shared.fits import ShownFit, fits_of, shown_fits
from scaling.fields import from_dict


class Details(NamedTuple):
    laws: dict[str, FitResult]
    again: FitResult


@pytest.fixture(scope="module")
def found():
    rng = np.random.default_rng(0)
    n = np.geomspace(10, 1000, 10)
    return fit(POWER_LAW, n, 3 * n**-0.5 * np.exp(0.02 * rng.standard_normal(10)))


def test_a_shown_fit_has_the_numbers_of_the_fit(found):
    (shown,) = shown_fits(Details({"a": found}, found))  # one fit, though it is there twice
    profiles = profile_likelihood(found)
    for constant in shown.constants[: shown.n_params]:
        assert constant.value == found.params[constant.name]
        assert (constant.low, constant.high) == found.intervals[constant.name]
        assert (constant.profile_low, constant.profile_high) == profiles[constant.name].interval
    assert shown.verdict == found.verdict and shown.n_points == 10
    assert [other.loss for other in shown.alternatives] == [
        "Huber 0.001 of logs", "squared error of values",
    ]  # fmt: skip
    for other in shown.alternatives:  # other losses find the planted law too
        assert np.allclose(other.values, list(found.params.values()), rtol=0.05)
    # It returns from JSON as it was.
    assert from_dict(ShownFit, json.loads(json.dumps(asdict(shown)))) == shown


def test_a_fit_is_tables_on_a_page(found):
    page = fits_shown(shown_fits(found))
    assert page.count("<table>") == 2 and "converged" in page and "<pre" not in page
    alpha = f"{found.params['alpha']:.5g}"
    assert f'<th scope="row">alpha</th><td>{alpha}</td>' in page


def test_a_fit_without_its_rows_has_neither_profiles_nor_alternatives(found):
    (shown,) = shown_fits(FitResult.from_json(found.to_json()))
    assert shown.alternatives == () and shown.constants[0].profile_low is None


def test_fits_of_one_law_are_told_apart(found):
    names = list(fits_of([found, fit(POWER_LAW, *_rows(found))]))
    assert names == ["power_law squared", "power_law squared no 2"]


def _rows(found):
    rows = found.require_rows()
    return rows.x[:, 0], rows.y
