"""The garbage collector and imports: nothing is looked at meanwhile, nor afterwards."""

import gc
from collections.abc import Iterator

import pytest

from app.garbage import importing


@pytest.fixture(autouse=True)
def _thawed() -> Iterator[None]:
    yield
    gc.unfreeze()
    gc.enable()


def test_nothing_is_collected_while_something_is_imported_and_all_of_it_is_frozen() -> None:
    with importing():
        assert not gc.isenabled()
        made = [[]]  # type: ignore[var-annotated]
    assert gc.isenabled()
    assert not any(each is made for each in gc.get_objects())  # the frozen are not among them


def test_garbage_is_collected_again_after_an_import_that_failed() -> None:
    with pytest.raises(ImportError), importing():
        raise ImportError
    assert gc.isenabled()
