"""Files of data sets from the network: over https, of limited size, and checked before they enter the cache."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from lyapmap.core.errors import DataError
from lyapmap.core.writing import written_whole

logger = logging.getLogger(__name__)

SECONDS = 30
"""Without an answer until a download is given up."""
PIECE = 2**20


def download(url: str, path: Path, *, most: int, check: Callable[[bytes, str], object]) -> None:
    """Bring a file of a data set into the cache.

    Parameters
    ----------
    url : str
        Begins with https.
    path : Path
    most : int
        Bytes that it may have.
    check : callable
        Takes the content and the address; raises a DataError for what is not the file wanted.

    Raises
    ------
    DataError
        If it cannot be had, is too large, or is another file than the published one.
    """
    logger.info("downloading %s to %s", url, path)
    try:
        content = _fetched(url, most)
    except DataError:
        raise
    except Exception as error:  # whatever the network raises, the user needs the same line
        raise DataError(
            f"{path.parent.name}: {path} is missing and {url} could not be downloaded "
            f"({type(error).__name__}); set LYAPMAP_DATA to a folder that holds {path.parent.name}/{path.name}"
        ) from None
    check(content, url)
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as beside:
        beside.write_bytes(content)


def _fetched(url: str, most: int) -> bytes:
    import requests

    parts, left = [], most
    with requests.get(url, stream=True, timeout=SECONDS) as answer:
        for step in (*answer.history, answer):
            if not step.url.startswith("https://"):
                raise DataError(f"{url}: leads to {step.url}, expected an address of https")
        answer.raise_for_status()
        for piece in answer.iter_content(PIECE):
            parts.append(piece)
            left -= len(piece)
            if left < 0:
                raise DataError(f"{url}: has more than {most} bytes, which the published file has not")
    return b"".join(parts)
