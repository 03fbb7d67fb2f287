"""An encrypted memory: nothing of it is readable without its key file, and what was erased is readable nowhere."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_store_sqlite import terms_of

from agentmem.store import open_store, sealing
from agentmem.store.schema import has_ciphers
from agentmem.testing import StoreContract
from agentmem.types import Store

pytestmark = pytest.mark.skipif(not has_ciphers(), reason="the SQLite that is installed has no ciphers")


class TestEncryptedStore(StoreContract):
    def make_store(self, path: str) -> Store:
        return open_store(path, terms=terms_of, key_file=str(Path(path).parent / "contract.key"))


class TestSealedStore(TestEncryptedStore):
    """Every step of the contract is about somebody, and so sealed."""

    @pytest.fixture(autouse=True)
    def about_somebody(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sealing, "group_of", lambda record: b"somebody" if record.type == "step" else None)
