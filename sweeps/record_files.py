"""Records as the files of a run hold them: read in doubt, parsed only where that is asked for."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from scaling.record import RunRecord, parse_record, record_text
from scaling.sealed import DamagedFileError, entry, in_lines
from sweeps import files
from sweeps.claims import Attempt
from sweeps.files import StoreError
from sweeps.places import Place

log = logging.getLogger(__name__)


def read_text(path: Place, run_id: str) -> bytes:
    """Text of the record in a file (`scaling.record.record_text`), which is that of a run.

    Raises:
        DamagedFileError: it is not as it was written, or of another run.
        StoreError: it has another schema version, or the machine refuses to read it.
    """
    try:
        data = files.read_bytes(path)
    except OSError as error:
        if files.is_damage(error):
            raise DamagedFileError(f"no file: {error.strerror}") from None
        raise StoreError(
            f"{path} cannot be read: {error.strerror}. Nothing was changed. Put this right, and "
            "the same command resumes"
        ) from error
    try:
        text = record_text(data)
        if entry(text, "run_id") != f'"{run_id}"'.encode():
            raise DamagedFileError("it is the record of another run")
        return text
    except ValueError as error:
        raise StoreError(
            f"{path}: {error}. Nothing is lost; read it with the program that wrote it"
        ) from None


def failure_text(attempts: Sequence[Attempt], run_id: str) -> bytes | None:
    """Text of the record of the last failure of a run; None if none counts.

    A run that was paused in good order since has none. Where no record of a failure can be read, it
    is the fact that one is there.
    """
    unreadable = None
    for attempt in reversed(attempts):
        try:
            if ended_paused(attempt):
                return None
            if (text := _text_of_failure(attempt, run_id)) is not None:
                return text
        except DamagedFileError as error:
            unreadable = unreadable or _unreadable(attempt, run_id, error)
    return None if unreadable is None else in_lines(vars(unreadable)).encode()


def failure_of(attempt: Attempt, run_id: str) -> RunRecord | None:
    """The failure in which an attempt ended; None if it did not end so.

    One whose record cannot be read has the reason "damaged".
    """
    try:
        text = _text_of_failure(attempt, run_id)
    except DamagedFileError as error:
        return _unreadable(attempt, run_id, error)
    return None if text is None else parse_record(text)


def ended_paused(attempt: Attempt) -> bool:
    """Whether an attempt went as far as it was to go: failures before it are no more."""
    return _ending_of(attempt) == "paused"


def last_that_began(attempts: Sequence[Attempt]) -> Attempt | None:
    """The last attempt that was not given up at once, since another one had just been faster."""
    began = (each for each in reversed(attempts) if _ending_of(each) != "superfluous")
    return next(began, None)


def _ending_of(attempt: Attempt) -> str | None:
    end = files.read_json(attempt.folder / "end.json")
    return end.get("ending") if isinstance(end, dict) else None


def _text_of_failure(attempt: Attempt, run_id: str) -> bytes | None:
    path = attempt.folder / "failure.json"
    try:
        return read_text(path, run_id)
    except DamagedFileError:
        if files.exists(path):
            raise
        return None


def _unreadable(attempt: Attempt, run_id: str, error: DamagedFileError) -> RunRecord:
    message = f"{attempt.folder}/failure.json: {error}"
    log.warning("%s", message)
    return RunRecord(
        run_id=run_id,
        status="failed",
        config={},
        reason="damaged",
        message=message,
        attempt=attempt.number,
    )


def missing(run_id: str, config: Mapping[str, Any], damage: str | None) -> RunRecord:
    """The record of a run of which there is none, and what is damaged, if anything."""
    reason = None if damage is None else "damaged"
    return RunRecord(run_id=run_id, status="missing", config=config, reason=reason, message=damage)
