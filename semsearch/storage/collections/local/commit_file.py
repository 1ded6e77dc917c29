"""The file commit.seq next to a catalogue: the number of its last commit, to detect a lost write-ahead log.

It is written and synced after each commit, before the commit is acknowledged. So the catalogue has the number of the
file or, after a crash or a failed sync in between, the next one; any other number means that files were lost or
replaced.

Two slots with checksums are written alternately: after a torn write the other slot has the previous number.
"""

import os
import struct
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

from ....core.errors import Remedy, StorageError
from ....core.file_sync import sync_folder
from ....core.private_files import open_private

FILE_NAME = "commit.seq"

_TEMP_NAME = ".commit.seq.new"
_MAGIC = b"SEMSSEQ1"
_RECORD = struct.Struct("<8sQI")
"""Magic, number, and the CRC-32 of both."""

_SLOT_BYTES = 4_096
"""Bytes of a slot: at least the sector size of any disk, so that a torn write damages one slot only."""

_REMEDY = "restore the whole folder from a copy, or accept the catalogue as it is, without the lost commits"


def read(folder: Path) -> int | None:
    """Return the number in the file, None if there is no file; StorageError if neither slot is valid."""
    try:
        data = (folder / FILE_NAME).read_bytes()
    except FileNotFoundError:
        return None
    except OSError as exc:
        raise StorageError(f"{folder / FILE_NAME} cannot be read: {exc.strerror}") from exc
    numbers = [
        number
        for offset in (0, _SLOT_BYTES)
        if (number := _decode_record(data[offset : offset + _RECORD.size])) is not None
    ]
    if not numbers:
        raise StorageError(f"{folder / FILE_NAME} is damaged; {_REMEDY}", remedy=Remedy("accept_loss", folder.name))
    return max(numbers)


def write(folder: Path, number: int) -> None:
    """Write the number of a new commit, durably, into the slot of the commit before the last."""
    try:
        descriptor = os.open(folder / FILE_NAME, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.pwrite(descriptor, _encode_record(number), number % 2 * _SLOT_BYTES)
            _sync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as exc:
        raise _write_error(folder, exc) from exc


def create(folder: Path, number: int) -> None:
    """Create or replace the file with this number, durably; the caller holds the write lock."""
    temp_path = folder / _TEMP_NAME
    record = _encode_record(number)
    try:
        with open(temp_path, "wb", opener=open_private) as file:
            file.write(record.ljust(_SLOT_BYTES, b"\0") * 2)
            file.flush()
            os.fsync(file.fileno())
        temp_path.rename(folder / FILE_NAME)
    except OSError as exc:
        raise _write_error(folder, exc) from exc
    sync_folder(folder)


def reconcile(folder: Path, number: int) -> None:
    """Bring the file up to the last commit of the catalogue, before the next one; StorageError on a mismatch."""
    recorded = read(folder)
    if recorded is None:  # written by a version without this file
        create(folder, number)
    elif recorded != number:
        if number != recorded + 1:
            raise _mismatch_error(folder, number, recorded)
        write(folder, number)


def check(folder: Path, read_catalog: Callable[[], int | None]) -> None:
    """Raise StorageError if the number that `read_catalog` returns does not match the file.

    Other processes may commit meanwhile: the file is read before the catalogue, to detect a catalogue that is behind,
    and after it, to detect one that is ahead.
    """
    for is_last in (False, True):  # without locks a mismatch may be a race, so that it is checked twice
        before = read(folder)
        number = None if before is None else read_catalog()
        after = read(folder)
        if before is None or number is None or after is None or before <= number <= after + 1:
            return
        if is_last:
            raise _mismatch_error(folder, number, before if number < before else after)


def _decode_record(record: bytes) -> int | None:
    if len(record) < _RECORD.size:
        return None
    magic, number, checksum = _RECORD.unpack(record)
    return int(number) if magic == _MAGIC and checksum == zlib.crc32(record[:-4]) else None


def _encode_record(number: int) -> bytes:
    body = _RECORD.pack(_MAGIC, number, 0)[:-4]
    return body + zlib.crc32(body).to_bytes(4, "little")


def _sync(descriptor: int) -> None:
    if sys.platform == "darwin":
        os.fsync(descriptor)
    else:
        os.fdatasync(descriptor)  # the size stays the same, so that no metadata must be written


def _mismatch_error(folder: Path, number: int, recorded: int) -> StorageError:
    if number < recorded:
        cause = "its write-ahead log (catalog.db-wal) was lost, or it or the catalogue is an old copy"
    else:
        cause = f"an old {FILE_NAME} is next to it"
    return StorageError(
        f"the catalogue of {folder.name} is at commit {number}, but {FILE_NAME} is at {recorded}: {cause}; {_REMEDY}",
        remedy=Remedy("accept_loss", folder.name),
    )


def _write_error(folder: Path, exc: OSError) -> StorageError:
    return StorageError(
        f"{folder / FILE_NAME} cannot be written: {exc.strerror}; the change may be lost: check the disk, and repeat it"
    )
