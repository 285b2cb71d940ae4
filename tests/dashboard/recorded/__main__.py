"""Writes into links.json what its links do now: python -m tests.dashboard.recorded"""

import tempfile
from pathlib import Path

from tests.dashboard.recorded.recording import files_of_links, record_again, table, write

with tempfile.TemporaryDirectory() as folder, files_of_links(Path(folder)) as session:
    write(record_again(table(), session))
