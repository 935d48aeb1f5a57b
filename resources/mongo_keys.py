"""API keys in MongoDB: their records, never the keys."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from pymongo import ASCENDING
from pymongo.database import Database
from pymongo.errors import PyMongoError

from terag_pipelines.errors import NotFoundError, StoreUnavailableError
from terag_pipelines.security.api_keys import ApiKeyRecord
from terag_pipelines.security.roles import Role


class MongoKeys:
    """Keeps API key records. Raises (all methods): StoreUnavailableError."""

    def __init__(self, database: Database[dict[str, Any]]) -> None:
        self._keys = database["api_keys"]

    def put(self, record: ApiKeyRecord) -> None:
        """Stores the record of a new key."""
        try:
            self._keys.create_index([("key_id", ASCENDING)], unique=True)
            self._keys.insert_one(asdict(record))
        except PyMongoError as error:
            raise StoreUnavailableError("the API key could not be stored in MongoDB") from error

    def find(self, key_id: str) -> ApiKeyRecord | None:
        """The record of a key id; None where there is none."""
        try:
            found = self._keys.find_one({"key_id": key_id}, {"_id": 0})
        except PyMongoError as error:
            raise StoreUnavailableError("API keys cannot be read from MongoDB") from error
        return _record(found) if found else None

    def revoke(self, key_id: str, at: datetime) -> None:
        """Makes a key worthless from now on. Raises: NotFoundError."""
        try:
            result = self._keys.update_one({"key_id": key_id}, {"$set": {"revoked_at": at}})
        except PyMongoError as error:
            raise StoreUnavailableError("the API key could not be revoked in MongoDB") from error
        if not result.matched_count:
            raise NotFoundError(f"there is no API key {key_id}")

    def records(self) -> list[ApiKeyRecord]:
        """Every record, the oldest first."""
        try:
            return [_record(found) for found in self._keys.find({}, {"_id": 0}).sort("created_at", ASCENDING)]
        except PyMongoError as error:
            raise StoreUnavailableError("API keys cannot be read from MongoDB") from error


def _record(found: dict[str, Any]) -> ApiKeyRecord:
    times = {
        name: found[name].replace(tzinfo=UTC) for name in ("created_at", "revoked_at") if found.get(name)
    }
    return ApiKeyRecord(**(found | times | {"role": Role(found["role"])}))
