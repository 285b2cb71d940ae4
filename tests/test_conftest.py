"""What tests share leaves nothing of one test to the next."""

import sys

import pytest
from streamlit.testing.v1 import AppTest

from tests.conftest import MAIN


@pytest.fixture(scope="module")
def app() -> AppTest:
    return AppTest.from_string("import streamlit as st\nst.write('here')").run()


def test_after_an_app_the_main_module_is_pytests_own(app: AppTest) -> None:
    assert app.markdown[0].value == "here"
    assert sys.modules["__main__"] is MAIN
