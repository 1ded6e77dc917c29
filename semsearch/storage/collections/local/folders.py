"""The collections of a data directory, one folder each: list, create, open, delete. Does not read what they hold.

A collection is created and deleted by one rename, so that no process sees half of one.
"""

import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ....core.errors import StorageError
from ....core.file_sync import make_folders, sync_folder
from ....core.private_files import FOLDER_MODE, make_private
from . import leftovers
from .catalog import CATALOG_FILE, accept_catalog, locked_for_delete
from .originals import DEFAULT_MAX_ORIGINAL_BYTES
from .store import LocalStore


class CollectionFolders:
    """The folders below a data directory, which is made with the first collection. Only their owner may read them."""

    def __init__(
        self,
        data_dir: Path,
        index_thresholds: tuple[int, int] | None = None,
        max_original_bytes: int = DEFAULT_MAX_ORIGINAL_BYTES,
    ) -> None:
        _validate_data_dir(data_dir)
        self._data_dir = data_dir
        self._index_thresholds = index_thresholds
        self._max_original_bytes = max_original_bytes

    def list_names(self) -> list[str]:
        """Return the names of all entries, sorted; some may be no collections."""
        try:
            return sorted(path.name for path in self._data_dir.iterdir())
        except FileNotFoundError:
            return []
        except OSError as exc:
            raise StorageError(f"the data directory {self._data_dir} cannot be listed: {exc.strerror}") from exc

    def exists(self, name: str) -> bool:
        """Return whether there is a collection in this folder."""
        try:
            return (self._data_dir / name / CATALOG_FILE).is_file()
        except OSError as exc:
            raise StorageError(f"the data directory {self._data_dir} cannot be read: {exc.strerror}") from exc

    def create(self, name: str, *, space: str, dim: int, spec: str) -> None:
        """Create an empty collection. No effect if another process creates it first."""
        temp_folder = leftovers.name_creation(self._data_dir)
        try:
            make_folders(self._data_dir)
            with leftovers.lock_library(
                self._data_dir, "create a collection", wait_seconds=leftovers.CREATION_WAIT_SECONDS
            ):
                temp_folder.mkdir(mode=FOLDER_MODE)
                LocalStore.create(temp_folder, space=space, dim=dim, spec=spec)
                temp_folder.rename(self._data_dir / name)
                sync_folder(self._data_dir)
        except OSError as exc:
            if not self.exists(name):
                raise StorageError(f"the data directory {self._data_dir} cannot be written: {exc.strerror}") from exc
        finally:
            shutil.rmtree(temp_folder, ignore_errors=True)

    def open(self, name: str) -> LocalStore:
        """Open the store of a collection, which an earlier version may have made readable to others."""
        make_private(self._data_dir / name)
        return LocalStore(self._data_dir / name, self._index_thresholds, self._max_original_bytes)

    def sweep(self) -> None:
        """Remove what killed creations and deletions have left."""
        leftovers.sweep(self._data_dir)

    def accept_loss(self, name: str) -> None:
        """Accept that the last commits of a collection were lost, so that it can be opened."""
        accept_catalog(self._data_dir / name)

    @contextmanager
    def hide_then_delete(self, name: str) -> Iterator[None]:
        """Hide the folder of a collection, run the block, then remove the files. LockedError while a job runs in it.

        StorageError if files remain, which the next start removes.
        """
        folder, trash_folder = self._data_dir / name, leftovers.name_deleted(self._data_dir)
        with locked_for_delete(folder):
            folder.rename(trash_folder)
            sync_folder(self._data_dir)
        try:
            yield
        finally:
            error = leftovers.remove_folder(trash_folder)
        if error is not None:
            raise StorageError(
                f"the collection {name} is deleted, but a part of its files, in {trash_folder}, cannot be removed:"
                f" {error.strerror}; check the disk: the files are removed at the next start"
            )


def _validate_data_dir(data_dir: Path) -> None:
    """Accept a folder, or a path at which one can be made; StorageError otherwise."""
    try:
        is_folder = stat.S_ISDIR(data_dir.stat().st_mode)
    except FileNotFoundError:
        return
    except OSError as exc:
        raise StorageError(f"the data directory {data_dir} cannot be read: {exc.strerror}") from exc
    if not is_folder:
        raise StorageError(
            f"the data directory {data_dir} is a file; name a folder with --data-dir or SEMSEARCH_DATA_DIR"
        )
