"""Text for language models: any corpus, any tokenizer, mapped into memory and never loaded."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field, replace
from typing import Annotated, ClassVar, Literal

from scaling.data.cache import sha256_of
from scaling.data.python_parts import VERSION, Part
from scaling.data.token_cache import halves_of, summary_of, tokenizer_of
from scaling.data.token_dataset import TokenDataset, TokenRow, TokenSource, token_dataset
from scaling.data.token_files import given_halves, given_sha256
from scaling.data.tokenizing import BPE, Bytes, Tiktoken, Tokenized, tiktoken_tokenizer
from scaling.fields import Count, Newer


@dataclass(frozen=True, kw_only=True)
class Text(TokenSource):
    """Text cut into sequences of `context` predicted tokens.

    Exact duplicates among the documents are removed, one document in 20 is held out, and the
    training documents are in the order of their hashes (`scaling.data.survey`): every run of a
    corpus sees the same row of tokens, whatever its seed, which decides in what order the row's
    windows come. `n_tokens` takes the beginning of the row, or a sample of its windows; in both
    cases a smaller training set is the beginning of a larger one. In a few whole documents there is
    less to learn than in as many tokens of many.

    Attributes:
        context: Tokens predicted in a sequence.
        tokenizer: What makes tokens of text.
        path: A file, folder, glob, or `hf://` data set; text, JSON lines (`.jsonl`, `.ndjson`),
            either compressed (`.gz`, `.zst`), or tokens (`.bin`). None is the source code of the
            running interpreter's standard library: 30 MB of real text on every machine.
        text_field: The field of JSON lines, or column of a data set, that holds the text.
        part: Which part of the standard library's source code to read: its comments and docstrings
            as "english", or the "code" without them. Both have the same files held out. None for
            all of a corpus.
        n_tokens: Different training tokens to use, in whole sequences; None for all.
        unique: What `n_tokens` takes: the first "documents", or "windows" drawn from all of them.
        n_eval: Held-out sequences, the same for every run.
        repeat: Whether a run may take more tokens than the data have.
        document_mask: Whether attention stays within documents, several of which may share a
            sequence; without it, a token is predicted from what came before its document too.
    """

    kind: ClassVar[str] = "text"
    context: Count = 64
    tokenizer: Bytes | BPE | Tiktoken | Tokenized = field(default_factory=Bytes)
    path: str | None = None
    text_field: str = "text"
    part: Annotated[Part | None, Newer()] = None
    n_tokens: Count | None = None
    unique: Annotated[Literal["documents", "windows"], Newer()] = "documents"
    n_eval: Count = 256
    repeat: bool = False
    document_mask: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        tokenized = isinstance(self.tokenizer, Tokenized)
        if self.part is not None and self.path is not None:
            raise ValueError(
                f"text.part = {self.part!r} is a part of the standard library's source code, and "
                f"text.path = {self.path!r} is other text: leave one of the two out"
            )
        if tokenized and self.path is None:
            raise ValueError(
                "text.tokenizer.kind = 'tokenized' needs text.path: a .bin file, or a folder with "
                "train.bin and val.bin"
            )
        if self.document_mask and getattr(self.tokenizer, "end_of_document", 0) is None:
            raise ValueError(
                "text.document_mask = True needs to know where documents end: give "
                "tokenizer.end_of_document, the token that ends one"
            )
        if not tokenized and (self.path or "").endswith(".bin"):
            raise ValueError(
                f"text.path = {self.path!r} holds tokens, which text.tokenizer.kind = "
                f"{self.tokenizer.kind!r} cannot read: use kind = 'tokenized' with the vocab_size "
                "they were made with"
            )

    @property
    def n_outputs(self) -> int:
        """Tokens of the vocabulary."""
        if isinstance(self.tokenizer, Tiktoken):
            return tiktoken_tokenizer(self.tokenizer.name).vocab_size
        return 256 if isinstance(self.tokenizer, Bytes) else self.tokenizer.vocab_size

    def fingerprint(self) -> str:
        """Version of order and split, and SHA-256 of documents and tokenizer, whatever the path.

        A corpus is read for it once, and again when its files change; a tokenizer is trained.
        """
        if isinstance(self.tokenizer, Tokenized):
            assert self.path is not None
            content = _given_sha256(self.path, self.tokenizer)
        else:
            documents = summary_of(self.path, self.text_field).sha256
            tokenizer = tokenizer_of(self.path, self.text_field, self.tokenizer)
            version = [] if self.part is None else [VERSION]
            content = sha256_of([documents, tokenizer.identity, *version])
        return f"text/2/{content}"

    def load(self, seed: int) -> TokenDataset:
        """The sequences of one run; the same tokens for every seed, made once and then mapped."""
        return _load(self)


_given_sha256 = functools.cache(given_sha256)


@functools.lru_cache(maxsize=64)
def _load(config: Text) -> TokenDataset:
    if isinstance(config.tokenizer, Tokenized):
        assert config.path is not None
        _given_sha256(config.path, config.tokenizer)  # refuses tokens outside the vocabulary
        train, held_out = given_halves(config.path, config.tokenizer)
        byte_lengths, end_of_document = None, config.tokenizer.end_of_document
    else:
        corpus = (config.path, config.text_field, config.tokenizer)
        tokenizer = tokenizer_of(*corpus)
        train, held_out = halves_of(*corpus, config.part)
        byte_lengths, end_of_document = tokenizer.byte_lengths, tokenizer.end_of_document
    dataset = token_dataset(
        train=TokenRow(train.read, train.n_tokens),
        held_out=TokenRow(held_out.read, held_out.n_tokens),
        context=config.context,
        n_tokens=config.n_tokens,
        n_eval=config.n_eval,
        byte_lengths=byte_lengths,
        end_of_document=end_of_document,
        separated=config.document_mask,
    )
    if config.unique == "documents":
        return dataset
    return replace(dataset, sampled_from=(train.n_tokens - 1) // config.context)
