"""Writing a file so that a reader never meets half of it."""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replaced_when_done(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`, which takes the name `path` once the block ends well.

    After an error inside the block the temporary file is removed and an older `path` stays as it was. The
    folder is made if it is missing.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        yield temporary
        os.replace(temporary, path)  # noqa: PTH105  says what it does where Path.replace does not
    finally:
        temporary.unlink(missing_ok=True)
