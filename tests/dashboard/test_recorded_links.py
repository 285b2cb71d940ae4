"""Links that were made before open the same views, tell the same and are written back as they were."""

from collections.abc import Iterator
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from tests.dashboard.recorded.recording import COMMAND, files_of_links, opened, parameters, read, table, without_link

RECORDS = table()
WITHOUT_LINK = without_link(RECORDS)


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AppTest]:
    with files_of_links(tmp_path_factory.mktemp("checkpoints")) as session:
        yield session


@pytest.mark.parametrize("record", RECORDS, ids=[f"{record['page']}: {record['name']}" for record in RECORDS])
def test_a_link_does_what_it_did(record: dict[str, Any], session: AppTest) -> None:
    done = read(opened(record["page"], record["link"], session))
    done["notices"].sort()
    recorded = {
        "state": WITHOUT_LINK[record["page"]] | record["state"],
        "notices": sorted(record["notices"]),
        "address": parameters(record["address"]),
    }
    assert done == recorded, f"this link now does something else; where that is meant, record it: {COMMAND}"
