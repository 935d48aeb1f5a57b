"""A source folder on disk: its manifest, the digest of its content, and its files read within limits."""

from __future__ import annotations

import hashlib
from pathlib import Path, PurePosixPath

from resources.source_csv import read_csv
from resources.source_jsonl import read_jsonl
from resources.source_parquet import read_parquet
from resources.source_streams import (
    FileStamp,
    ReadLimits,
    digest_file,
    file_stamp,
    text_blocks,
    translated_errors,
)
from terag_pipelines.entities.ingestion import SourceTables, ingest
from terag_pipelines.entities.manifests import FileSpec, Manifest, parse_manifest
from terag_pipelines.entities.raw_files import RawFile, read_document
from terag_pipelines.entities.yaml_texts import YAML_ERRORS, PlainLoader, load_yaml, yaml_problem
from terag_pipelines.errors import ManifestError, UnreadableFileError

MANIFEST_NAME = "source.yaml"
_MAX_YAML_BYTES = 4 * 2**20
_digests: dict[FileStamp, str] = {}


class SourceFolder:
    """A folder with a manifest `source.yaml`.

    Its files lie under `root`, the manifest's root where none is given.
    """

    def __init__(self, folder: Path, root: Path | None = None, limits: ReadLimits | None = None) -> None:
        self.folder = folder
        self._root = root
        self._limits = limits or ReadLimits()

    def manifest(self) -> Manifest:
        """The manifest. Raises: ManifestError where there is none or it is malformed."""
        return parse_manifest(self._manifest_text(), str(self.folder / MANIFEST_NAME))

    def content_digest(self) -> str:
        """BLAKE2b over the manifest and the bytes of its files, in order; unchanged files are not read again.

        Raises: ManifestError, UnreadableFileError where a file is missing or cannot be read.
        """
        manifest = self.manifest()
        digest = hashlib.blake2b(self._manifest_text().encode())
        for spec in manifest.files:
            with translated_errors(spec.path):
                digest.update(f"\n{spec.name}:{_digest_of(self.path_of(manifest, spec))}".encode())
        return digest.hexdigest()

    def ingest(self) -> SourceTables:
        """All tables of the source. Raises: any SourceError."""
        manifest = self.manifest()
        return ingest(manifest, lambda spec: self.read(manifest, spec))

    def read(self, manifest: Manifest, spec: FileSpec) -> RawFile:
        """One file's raw content. Raises: UnreadableFileError, ManifestError."""
        path = self.path_of(manifest, spec)
        if spec.format == "parquet":
            return read_parquet(path, spec.path, self._limits)
        blocks = text_blocks(path, spec.path, self._limits)
        if spec.format == "csv":
            return read_csv(blocks, spec.path, spec.csv, self._limits)
        if spec.format == "jsonl":
            return read_jsonl(blocks, spec, self._limits)
        return _read_yaml(b"".join(blocks), spec)

    def path_of(self, manifest: Manifest, spec: FileSpec) -> Path:
        """Where a file entry's file is. Raises: ManifestError where it leaves the root or does not exist."""
        given = PurePosixPath(spec.path)
        root = self._root if self._root is not None else self.folder / manifest.root
        if given.is_absolute() or ".." in given.parts or "\\" in spec.path or "\x00" in spec.path:
            raise ManifestError(
                f"file {spec.name!r}: path {spec.path!r} must lie within the root, without '..'"
            )
        path = (root / given).resolve()
        if not path.is_relative_to(root.resolve()):
            raise ManifestError(
                f"file {spec.name!r}: path {spec.path!r} leads out of the root through a link"
            )
        if not path.is_file():
            raise ManifestError(f"file {spec.name!r}: there is no file {spec.path!r}; {_listed(path.parent)}")
        return path

    def _manifest_text(self) -> str:
        path = self.folder / MANIFEST_NAME
        try:
            if path.stat().st_size > _MAX_YAML_BYTES:
                raise ManifestError(f"{path}: a manifest has at most {_MAX_YAML_BYTES:,} bytes")
            return path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            raise ManifestError(f"{path}: not valid UTF-8") from None
        except OSError as error:
            raise ManifestError(
                f"{path}: cannot be read ({error.strerror}); a source is a folder with {MANIFEST_NAME}"
            ) from None


def _digest_of(path: Path) -> str:
    stamp = file_stamp(path)
    if stamp not in _digests:
        _digests[stamp] = digest_file(path)
    return _digests[stamp]


def _listed(folder: Path) -> str:
    if not folder.is_dir():
        return f"nor a folder {folder.name!r}"
    names = sorted(entry.name for entry in folder.iterdir() if entry.is_file())
    return f"the files there are: {', '.join(names[:20]) or 'none'}{', ...' if len(names) > 20 else ''}"


def _read_yaml(text: bytes, spec: FileSpec) -> RawFile:
    if len(text) > _MAX_YAML_BYTES:
        raise UnreadableFileError(f"{spec.path}: a YAML file has at most {_MAX_YAML_BYTES:,} bytes")
    try:
        content = load_yaml(text.decode(), PlainLoader)
    except YAML_ERRORS as error:
        raise UnreadableFileError(f"{spec.path}{yaml_problem(error)}") from None
    if not isinstance(content, dict):
        raise UnreadableFileError(f"{spec.path}: must be a mapping")
    return read_document(content)
