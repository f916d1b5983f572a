"""The registry: immutable version folders `models/v1/…` over an object store, and the ledger that says which one serves.

A version is claimed by a create-only put, filled by create-only puts, and becomes visible when its manifest `version.json` is
written last. A killed release goes on in the version it has claimed; nobody ever sees half of one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from datetime import UTC
from pathlib import Path, PurePosixPath
from typing import Any

from belisha.components.shared.errors import AlreadyExistsError, ContractError, DigestError, InputError, NotFoundError
from belisha.components.shared.files import canonical_json, directory_aside, parse_json, sha256_hex, sha256_of_file
from belisha.components.shared.ledger import Clock, Ledger, default_actor, system_clock
from belisha.components.shared.model_artifact import read_model_info
from belisha.components.shared.storage import ObjectStore, join_uri, local_path, open_store, scheme_of

VERSION_SCHEMA = "belisha.version/1"
CLAIM_SCHEMA = "belisha.claim/1"
REGISTRY_FOLDER = "registry"
MODELS_PREFIX = "models"
MODEL_PART = "model"
_VERSION_FILE, _CLAIM_FILE = "version.json", "claim.json"
_READERS = 8
_VERSION_NAME = re.compile(r"v[1-9][0-9]*")


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """What `version.json` says of one immutable version.

    Attributes:
        version: `v1`, `v2`, …
        model_digest: identity of the model (`ModelInfo.digest`).
        run_id: the run that made it.
        verdict: of the decision that came with it.
        sentence: that decision in words.
        champion: version it was compared with, empty when there was none.
        decision_digest: SHA-256 of `decision.json`.
        created_at: when it was registered, UTC, ISO 8601.
        actor: who registered it.
        dataset_digest: of the labels it learned from.
        split_digest: of the assignment it was trained under.
        metrics: its figures on the sealed test part, by name.
        files: SHA-256 of every file, by path below the version's folder (`model/…`, `evaluation/…`, `decision/…`).
    """

    version: str
    model_digest: str
    run_id: str
    verdict: str
    sentence: str
    champion: str
    decision_digest: str
    created_at: str
    actor: str
    dataset_digest: str
    split_digest: str
    metrics: dict[str, float] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Candidate:
    """What is to be registered: `ModelVersion` before it has a version, a time and a list of files."""

    model_digest: str
    run_id: str
    verdict: str
    sentence: str
    champion: str
    decision_digest: str
    dataset_digest: str
    split_digest: str
    metrics: dict[str, float] = field(default_factory=dict)


class Registry:
    """Model versions and the ledger below `<storage>/registry`."""

    def __init__(self, store: ObjectStore, *, clock: Clock = system_clock, actor: str | None = None) -> None:
        self._store = store
        self._clock = clock
        self._actor = actor or default_actor()
        self.ledger = Ledger(store, clock=clock, actor=self._actor)

    def versions(self) -> list[ModelVersion]:
        """Every whole version, oldest first. Raises ContractError on a damaged one, StorageError."""
        with ThreadPoolExecutor(_READERS) as readers:
            found = list(readers.map(self._find, self._names()))
        return [version for version in found if version is not None]

    def version(self, name: str) -> ModelVersion:
        """One version; raises InputError when the registry does not have it whole."""
        found = self._find(name) if _VERSION_NAME.fullmatch(name) else None
        if found is None:
            known = ", ".join(version.version for version in self.versions()) or "none yet"
            raise InputError(f"{self._store.uri} has no model version {name!r}: give one of {known}")
        return found

    def add(self, candidate: Candidate, folders: Mapping[str, Path]) -> ModelVersion:
        """Register a candidate with all files of its folders; the same model of the same run is registered once.

        Args:
            candidate: what is known of it.
            folders: local folders by the name they get in the version's folder.

        Raises:
            StorageError: the store failed; running it again goes on where it stopped.
        """
        known = [found for found in self.versions() if _same(found, candidate)]
        if known:
            return known[0]
        sources = dict(_files_of(folders))
        digests = {name: sha256_of_file(path) for name, path in sources.items()}
        name = self._claim(sha256_hex(canonical_json([candidate.run_id, candidate.model_digest, digests])))
        for key, path in sources.items():
            self._upload(f"{MODELS_PREFIX}/{name}/{key}", path, digests[key])
        at = self._clock().astimezone(UTC).isoformat()
        version = ModelVersion(version=name, created_at=at, actor=self._actor, files=digests, **asdict(candidate))
        return self._publish(version)

    def fetch(self, name: str, cache_dir: Path) -> Path:
        """A local, verified copy of a version's model folder; the cache is keyed by the model's digest.

        Raises:
            InputError: there is no such version.
            DigestError, ContractError: the stored files are not those that were registered.
        """
        version = self.version(name)
        folder = cache_dir / version.model_digest
        if _is_whole(folder, version):
            return folder
        try:
            with directory_aside(folder) as aside:
                self._download(version, aside)
        except OSError:
            # Another process may have put the same model there first.
            if not _is_whole(folder, version):
                raise
        return folder

    def read_file(self, version: ModelVersion, path: str) -> bytes:
        """Bytes of one of a version's files, verified. Raises NotFoundError, DigestError."""
        data = self._store.read(f"{MODELS_PREFIX}/{version.version}/{path}")
        if sha256_hex(data) != version.files.get(path):
            raise DigestError(
                f"{self._store.uri}/{MODELS_PREFIX}/{version.version}/{path} is not what was registered: restore it"
            )
        return data

    def _names(self) -> list[str]:
        names = [name for name in self._store.folders(MODELS_PREFIX) if _VERSION_NAME.fullmatch(name)]
        return sorted(names, key=lambda name: int(name[1:]))

    def _find(self, name: str) -> ModelVersion | None:
        key = f"{MODELS_PREFIX}/{name}/{_VERSION_FILE}"
        try:
            data = self._store.read(key)
        except NotFoundError:
            return None
        value = parse_json(data, f"{self._store.uri}/{key}", schema=VERSION_SCHEMA)
        try:
            return ModelVersion(**{key: item for key, item in value.items() if key != "schema"})
        except TypeError as error:
            raise ContractError(f"{self._store.uri}/{key} is not understood ({error}): use a newer belisha") from None

    def _claim(self, content_digest: str) -> str:
        """The first version that this very content has claimed before, else the next free one."""
        names = self._names()
        for name in names:
            if self._claimed_by(name) == content_digest:
                return name
        number = int(names[-1][1:]) + 1 if names else 1
        claim = canonical_json({"schema": CLAIM_SCHEMA, "content_digest": content_digest})
        while True:
            try:
                self._store.create(f"{MODELS_PREFIX}/v{number}/{_CLAIM_FILE}", claim)
            except AlreadyExistsError:
                if self._claimed_by(f"v{number}") != content_digest:
                    number += 1
                    continue
            return f"v{number}"

    def _claimed_by(self, name: str) -> str:
        key = f"{MODELS_PREFIX}/{name}/{_CLAIM_FILE}"
        try:
            value = parse_json(self._store.read(key), f"{self._store.uri}/{key}", schema=CLAIM_SCHEMA)
        except NotFoundError:
            return ""
        return str(value.get("content_digest"))

    def _upload(self, key: str, path: Path, digest: str) -> None:
        data = path.read_bytes()
        if sha256_hex(data) != digest:
            raise ContractError(f"{path} changed while it was being registered: release it again")
        try:
            self._store.create(key, data)
        except AlreadyExistsError:
            if sha256_hex(self._store.read(key)) != digest:
                raise DigestError(f"{self._store.uri}/{key} is not what was registered: restore it") from None

    def _publish(self, version: ModelVersion) -> ModelVersion:
        key = f"{MODELS_PREFIX}/{version.version}/{_VERSION_FILE}"
        try:
            self._store.create(key, canonical_json({"schema": VERSION_SCHEMA, **asdict(version)}) + b"\n")
        except AlreadyExistsError:
            return self.version(version.version)
        return version

    def _download(self, version: ModelVersion, target: Path) -> None:
        for name in _model_files(version):
            path = target / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(self.read_file(version, f"{MODEL_PART}/{name}"))
        if read_model_info(target).digest != version.model_digest:
            raise DigestError(
                f"model {version.version} of {self._store.uri} is not the one that was registered: restore it"
            )


def open_registry(
    storage_uri: str, *, must_exist: bool = False, clock: Clock = system_clock, actor: str | None = None
) -> Registry:
    """The registry below a storage URI or path.

    Raises:
        InputError: `must_exist` is set and the local folder has no registry; nothing is created then.
    """
    uri = join_uri(storage_uri, REGISTRY_FOLDER)
    if must_exist and scheme_of(uri) == "file" and not local_path(uri).is_dir():
        raise InputError(f"there is no registry at {local_path(uri)}: give the --storage that a run has released to")
    return Registry(open_store(uri), clock=clock, actor=actor)


def fetch_model(storage_uri: str, version: str, target_dir: Path) -> Path:
    """Fetch a version's model into `target_dir/<model digest>` unless it is there, verified; returns that folder."""
    return open_registry(storage_uri, must_exist=True).fetch(version, target_dir)


def version_summary(version: ModelVersion) -> dict[str, Any]:
    """A version as JSON values without its list of files, for tables and programs."""
    return {key: value for key, value in asdict(version).items() if key != "files"}


def _same(version: ModelVersion, candidate: Candidate) -> bool:
    return (version.model_digest, version.run_id) == (candidate.model_digest, candidate.run_id)


def _files_of(folders: Mapping[str, Path]) -> Iterator[tuple[str, Path]]:
    """Visible files by their key; names that begin with a dot are what killed writers leave."""
    for part, folder in folders.items():
        for path in sorted(folder.rglob("*")):
            inner = path.relative_to(folder)
            if path.is_file() and not any(name.startswith(".") for name in inner.parts):
                yield f"{part}/{inner.as_posix()}", path


def _model_files(version: ModelVersion) -> list[str]:
    names = [name.removeprefix(f"{MODEL_PART}/") for name in version.files if name.startswith(f"{MODEL_PART}/")]
    for name in names:
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts:
            raise ContractError(f"version {version.version} names a file outside its folder ({name!r}): do not use it")
    return names


def _is_whole(folder: Path, version: ModelVersion) -> bool:
    try:
        return folder.is_dir() and read_model_info(folder).digest == version.model_digest
    except ContractError:
        return False
