"""Files from the web: again when a server is busy, on from where a transfer broke off."""

import re
import time
from pathlib import Path

import requests
import urllib3
from requests.adapters import HTTPAdapter
from tqdm import tqdm

TIMEOUT = (10, 30)  # seconds: to connect, between two packets
RESUMES = 4  # a transfer that breaks off is taken up again so many times
PAUSE = 0.5  # seconds before the first resume; doubled for each one after it
LONGEST_WAIT = 30  # seconds, whatever a busy server asks for
BUSY = (429, 500, 502, 503, 504)
NOT_THERE = (403, 404, 410)  # object stores say 403 for what they do not have


class FailedError(Exception):
    """A source did not give the right file; the message says why."""


class MissingError(FailedError):
    """A source does not have the file."""


class UnreachableError(FailedError):
    """A source cannot be reached at all: no use asking it for the other files."""


def download(url: str, part: Path, limit: int) -> None:
    """Bring all of `url`, at most `limit` bytes, into `part`, which may hold its beginning. Raises FailedError."""
    part.parent.mkdir(parents=True, exist_ok=True)
    with _session() as session:
        for resume in range(RESUMES + 1):
            try:
                if resume:
                    time.sleep(PAUSE * 2 ** (resume - 1))
                _transfer(session, url, part, limit)
                return
            except urllib3.exceptions.HTTPError:
                continue  # broken off in the middle: `part` has what arrived
            except requests.RequestException as error:
                raise UnreachableError(f"cannot be reached ({_cause(error)})") from None
    raise FailedError(f"the transfer broke off {RESUMES + 1} times")


class _Retry(urllib3.Retry):
    """Back-off between requests, in which no server can ask for a wait of hours."""

    def get_retry_after(self, response: urllib3.BaseHTTPResponse) -> float | None:
        seconds = super().get_retry_after(response)
        return None if seconds is None else min(seconds, LONGEST_WAIT)


def _session() -> requests.Session:
    session = requests.Session()
    retry = _Retry(total=4, connect=2, read=2, backoff_factor=PAUSE, status_forcelist=BUSY, raise_on_status=False)
    session.mount("http://", HTTPAdapter(max_retries=retry))
    session.mount("https://", HTTPAdapter(max_retries=retry))
    session.headers["Accept-Encoding"] = "identity"  # so that a position in the transfer is one in the file
    return session


def _transfer(session: requests.Session, url: str, part: Path, limit: int) -> None:
    start = part.stat().st_size if part.exists() else 0
    headers = {"Range": f"bytes={start}-"} if start else {}
    with session.get(url, headers=headers, stream=True, timeout=TIMEOUT) as response:
        if start and _is_another_part(response, start):
            part.unlink()
            _transfer(session, url, part, limit)
            return
        _check_status(response)
        if response.status_code == 200:  # the whole file: many servers know no Range
            start = 0
        length = response.headers.get("Content-Length", "")
        total = start + int(length) if length.isdigit() else None
        bar = tqdm(desc=part.stem, initial=start, total=total, unit="B", unit_scale=True, disable=None)
        with part.open("ab" if start else "wb") as out, bar:
            for chunk in response.raw.stream(1 << 16, decode_content=False):
                start += len(chunk)
                if start > limit:
                    break
                out.write(chunk)
                bar.update(len(chunk))
    if start > limit:
        part.unlink()
        raise FailedError(f"it sends more than {limit:,} bytes")


def _is_another_part(response: requests.Response, start: int) -> bool:
    """Whether the server, asked for all bytes from `start` on, sends other ones or says it has none."""
    other = not response.headers.get("Content-Range", "").startswith(f"bytes {start}-")
    return response.status_code == 416 or (response.status_code == 206 and other)


def _check_status(response: requests.Response) -> None:
    status = f"HTTP {response.status_code} {response.reason}".rstrip()
    if response.status_code in NOT_THERE:
        raise MissingError(status)
    if response.status_code in BUSY:
        raise UnreachableError(status)
    if response.status_code not in (200, 206):
        raise FailedError(status)


def _cause(error: Exception) -> str:
    """The end of the story in an error of requests, whose text tells it from the beginning."""
    known = re.search(r"\[Errno -?\d+\] ([^'\")]+)|(timed out)|(certificate verify failed[^'\")]*)", str(error))
    return next(filter(None, known.groups())) if known else type(error).__name__
