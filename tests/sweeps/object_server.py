"""An S3 server on loopback, for tests: moto, which honours conditional writes."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

BUCKET = "results"


@contextlib.contextmanager
def s3(log: Path = Path(os.devnull)) -> Iterator[dict[str, str]]:
    """Starts a server with an empty bucket; yields the environment in which clients find it.

    The server writes a line for every request into `log`.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    words = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with log.open("wb") as file:
        server = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=file)
    try:
        _wait(f"{address}/moto-api/")
        made = urllib.request.Request(f"{address}/{BUCKET}", method="PUT")
        urllib.request.urlopen(made).close()
        yield {
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT": address,
            "AWS_ALLOW_HTTP": "true",
        }
    finally:
        server.kill()
        server.wait()


def _wait(address: str) -> None:
    deadline = time.monotonic() + 60
    while True:
        with contextlib.suppress(OSError):
            urllib.request.urlopen(address).close()
            return
        assert time.monotonic() < deadline, "the server does not start"
        time.sleep(0.1)
