"""Names by which columns are known, compared without case and punctuation.

Every quantity has its names in tiers, the best first. Where a table has several columns of one
tier, with other values in each, the caller has to choose.
"""

from __future__ import annotations

import re

KNOWN: dict[str, tuple[str, ...]] = {
    "N": (
        "n params nparams numparams numparameters parameters nparameters parametercount "
        "modelsize modelparams totalparams totalparameters nparamstotal trainableparams "
        "nonembeddingparams nparamsnonembedding nonembeddingparameters modelnumparameters",
    ),
    "D": (
        "d tokens ntokens numtokens trainingtokens traintokens tokensseen ntokensseen totaltokens "
        "numinputtokensseen",
        "examples nexamples seenexamples examplesseen nexamplesseen samplesseen samples nsamples "
        "trainexamples ntrainexamples datasetsize datasize",
    ),
    "C": (
        "c flops flop trainingflop trainingflops trainflops totalflops flopstrain compute "
        "trainingcompute totalcompute pfdays petaflopdays",
    ),
    "U": ("u uniquetokens nuniquetokens uniqueexamples",),
    "M": ("tokensperparameter tokensperparam tokenparameterratio",),
    "X": ("experts nexperts numexperts expertcount numberofexperts",),
    "epochs": ("epochs nepochs numepochs",),
    "width": ("width modelwidth dmodel hiddensize hiddendim nembd embeddim",),
    "depth": ("depth modeldepth layers nlayers numlayers nlayer",),
    "loss": (
        "loss valloss validationloss evalloss testloss finalloss evallossnats lossnats lmloss",
        "perplexity ppl valperplexity valppl evalperplexity evalppl testperplexity testppl",
        "trainloss trainingloss trainlossnats",
    ),
    "accuracy": ("accuracy acc valaccuracy valacc evalaccuracy evalacc testaccuracy testacc",),
    "error": ("error errorrate valerror evalerror testerror",),
    "seed": ("seed randomseed",),
    "run": ("run runid", "runname name", "id"),
    "group": ("group",),
}
PERPLEXITIES = frozenset(KNOWN["loss"][1].split())

_WANDB = ("config.", "summary.", "summary_metrics.", "summaryMetrics.")


def plain(name: str) -> str:
    """Returns a name without case and punctuation."""
    return "".join(letter for letter in name.lower() if letter.isalnum())


def bare(name: str) -> str:
    """Returns a plain name without the prefixes that W&B adds: "config.n_params" is "nparams"."""
    return plain(_own(name))


def words(name: str) -> list[str]:
    """Returns the words of a name: "totalGFLOPs_per-run" has total, GFLOPs, per and run."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", _own(name))
    return re.findall(r"[A-Za-z0-9]+|%", spaced)


def _own(name: str) -> str:
    for prefix in _WANDB:
        name = name.removeprefix(prefix)
    return name


def tier(quantity: str, plain_name: str) -> int | None:
    """Returns the tier of a plain name among those of a quantity; None for no name of it."""
    tiers = enumerate(KNOWN.get(quantity, ()))
    return next((place for place, names in tiers if plain_name in names.split()), None)


def is_known(name: str) -> bool:
    """Returns whether a column's name is one of any quantity or label."""
    return any(tier(quantity, bare(name)) is not None for quantity in KNOWN)


def is_run(name: str) -> bool:
    """Returns whether a column of this name tells runs apart."""
    return tier("run", bare(name)) is not None
