"""The file commit.seq beside a catalogue: the number of its last commit, so that a lost write-ahead log is noticed.

It is written and synced after each commit and before that is acknowledged. So the catalogue has the number of the file
or, where a crash or a failed sync came between, the next one; anything else means that files were lost or exchanged.

Two slots are overwritten in turns, each with a checksum: of a torn write the other slot still has the number before.
"""

import os
import struct
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

from ....core.errors import StorageError
from ....core.file_sync import sync_folder

FILE = "commit.seq"

_ASIDE = ".commit.seq.new"
_MAGIC = b"SEMSSEQ1"
_RECORD = struct.Struct("<8sQI")
"""Magic, number, and the CRC-32 of both."""

_SLOT = 4_096
"""Bytes of a slot: no disk writes less at once than it, so that a torn write harms one slot only."""


def read(folder: Path) -> int | None:
    """Return the number in the file, None if there is no file; Storage if neither slot is valid."""
    try:
        data = (folder / FILE).read_bytes()
    except FileNotFoundError:
        return None
    except OSError as exc:
        raise StorageError(f"{folder / FILE} cannot be read: {exc.strerror}") from exc
    numbers = [number for at in (0, _SLOT) if (number := _parse(data[at : at + _RECORD.size])) is not None]
    if not numbers:
        raise StorageError(f"{folder / FILE} is damaged; {_remedy(folder)}")
    return max(numbers)


def write(folder: Path, number: int) -> None:
    """Put the number of the commit just made, durably, in place of the one before the last."""
    try:
        descriptor = os.open(folder / FILE, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.pwrite(descriptor, _record(number), number % 2 * _SLOT)
            _sync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as exc:
        raise _unwritten(folder, exc) from exc


def make(folder: Path, number: int) -> None:
    """Make the file anew with this number, durably; whoever calls holds the lock of writes."""
    aside = folder / _ASIDE
    record = _record(number)
    try:
        with aside.open("wb") as file:
            file.write(record.ljust(_SLOT, b"\0") * 2)
            file.flush()
            os.fsync(file.fileno())
        aside.rename(folder / FILE)
    except OSError as exc:
        raise _unwritten(folder, exc) from exc
    sync_folder(folder)


def follow(folder: Path, number: int) -> None:
    """Bring the file up to the catalogue's last commit, before another is made; Storage if they do not fit."""
    known = read(folder)
    if known is None:  # written before there was this file
        make(folder, number)
    elif known != number:
        if number != known + 1:
            raise _unfit(folder, number, known)
        write(folder, number)


def check(folder: Path, look: Callable[[], int | None]) -> None:
    """Raise Storage if the catalogue's number, which `look` reads, does not fit the file.

    Others may commit meanwhile, many times: the file is read before the catalogue to see whether that is behind, and
    after it to see whether it is ahead.
    """
    for last in (False, True):  # a look without locks is repeated before it is believed
        before = read(folder)
        number = None if before is None else look()
        after = read(folder)
        if before is None or number is None or after is None or before <= number <= after + 1:
            return
        if last:
            raise _unfit(folder, number, before if number < before else after)


def _parse(record: bytes) -> int | None:
    if len(record) < _RECORD.size:
        return None
    magic, number, checksum = _RECORD.unpack(record)
    return int(number) if magic == _MAGIC and checksum == zlib.crc32(record[:-4]) else None


def _record(number: int) -> bytes:
    body = _RECORD.pack(_MAGIC, number, 0)[:-4]
    return body + zlib.crc32(body).to_bytes(4, "little")


def _sync(descriptor: int) -> None:
    if sys.platform == "darwin":
        os.fsync(descriptor)
    else:
        os.fdatasync(descriptor)  # the size stays the same, so that no metadata needs to be written


def _unfit(folder: Path, number: int, known: int) -> StorageError:
    if number < known:
        cause = "its write-ahead log (catalog.db-wal) was lost, or it or the catalogue is an old one"
    else:
        cause = f"an old {FILE} lies beside it"
    return StorageError(
        f"the catalogue of {folder.name} is at commit {number}, but {FILE} at {known}: {cause}; {_remedy(folder)}"
    )


def _remedy(folder: Path) -> str:
    return (
        "restore the whole folder from a copy, or go on with what the catalogue holds:"
        f" semsearch reindex --accept-loss -c {folder.name}"
    )


def _unwritten(folder: Path, exc: OSError) -> StorageError:
    return StorageError(
        f"{folder / FILE} cannot be written: {exc.strerror}; the change may not be kept: check the disk, and repeat it"
    )
