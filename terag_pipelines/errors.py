"""Every failure that the platform can name, in one tree.

TeragError
├── ConfigurationError              a setting is missing, unknown or contradicts another
├── SourceError                     what a user handed in
│   ├── ManifestError               source.yaml is malformed or asks for something that does not exist
│   ├── MissingColumnError          the manifest names a column that the file does not have
│   ├── UnreadableFileError         a file is torn, not of its format, or bigger than allowed
│   └── TooManyBadRowsError         more rows are bad than the manifest allows
├── TableError                      what lies in the lake
│   ├── SchemaMismatchError         a table is not of its declared schema
│   ├── TornTableError              a stored table does not have the digest that was written with it
│   ├── IncompleteBatchError        a table of the batch is missing
│   └── StorageFullError            the disk (or a quota) is full
├── StoreError                      Neo4j or MongoDB
│   ├── StoreUnavailableError       no answer in time
│   └── EmbeddedStoreError          the embedded store could not be installed, started or stopped
├── LinkingError                    records cannot be compared (no usable field, EM not identified)
│   ├── DecisionError               a decision on a pair is not one: the pair, the name or the note cannot be
│   ├── DecisionClashError          a decision contradicts others that stand: the message names them
│   └── DecisionReusedError         a decision id came again with another decision
├── RingError                       a graph cannot be partitioned as asked
│   ├── AlertStateError             an alert is in no state for what is asked, or what is given cannot be
│   └── AlertRaceError              an alert was changed by others while it was being changed
├── CalibrationError                labels are too few or of one class only
├── TwinError                       an effect cannot be answered
│   └── EffectRefusedError          identification, overlap or a refutation failed: the reason says which
├── BillingError
│   ├── PriceBookError              a price book lacks a key, or a price, tier or date in it makes no sense
│   ├── UnknownPlanError            a tenant has a plan that is not in the price book
│   ├── CurrencyMismatchError       amounts of two currencies were added
│   └── InvoiceFinalisedError       a finalised invoice cannot change; issue a credit note
├── RenderingError                  a document could not be made within its limits
├── AccessError
│   ├── UnauthenticatedError        no API key, or not a valid one
│   └── ForbiddenError              the key's role does not allow it
└── NotFoundError                   nothing has this id in the promoted batch
"""

from __future__ import annotations


class TeragError(Exception):
    """Base of all named failures; its text is one sentence for a person, without personal data or secrets."""


class ConfigurationError(TeragError):
    """A setting is missing, unknown or contradicts another."""


class SourceError(TeragError):
    """What a user handed in cannot be used."""


class ManifestError(SourceError):
    """source.yaml is malformed or asks for something that does not exist."""


class MissingColumnError(SourceError):
    """The manifest names a column that the file does not have."""


class UnreadableFileError(SourceError):
    """A file is torn, not of its format, or bigger than allowed."""


class TooManyBadRowsError(SourceError):
    """More rows are bad than the manifest allows."""


class TableError(TeragError):
    """A table in the lake cannot be used."""


class SchemaMismatchError(TableError):
    """A table is not of its declared schema."""


class TornTableError(TableError):
    """A stored table does not have the digest that was written with it."""


class IncompleteBatchError(TableError):
    """A table of the batch is missing."""


class StorageFullError(TableError):
    """The disk or a quota is full; what was promoted before is intact."""


class StoreError(TeragError):
    """Neo4j or MongoDB failed."""


class StoreUnavailableError(StoreError):
    """A store gave no answer in time."""


class EmbeddedStoreError(StoreError):
    """An embedded store could not be installed, started or stopped."""


class LinkingError(TeragError):
    """Records cannot be compared."""


class DecisionError(LinkingError):
    """A decision on a pair of records is not one."""


class DecisionClashError(LinkingError):
    """A decision contradicts others that stand."""


class DecisionReusedError(LinkingError):
    """A decision id came again with another decision; the first stays."""


class RingError(TeragError):
    """A graph cannot be partitioned as asked."""


class AlertStateError(RingError):
    """An alert is in no state for what is asked, or its owner, note or days cannot be."""


class AlertRaceError(RingError):
    """An alert was changed by others while it was being changed."""


class CalibrationError(TeragError):
    """Labels are too few or of one class only."""


class TwinError(TeragError):
    """A causal question cannot be answered."""


class EffectRefusedError(TwinError):
    """Identification, overlap or a refutation failed; the message says which."""


class BillingError(TeragError):
    """A billing rule was broken."""


class PriceBookError(BillingError):
    """A price book lacks a key, or a price, tier or date in it makes no sense."""


class UnknownPlanError(BillingError):
    """A tenant has a plan that is not in the price book."""


class CurrencyMismatchError(BillingError):
    """Amounts of two currencies were combined."""


class InvoiceFinalisedError(BillingError):
    """A finalised invoice cannot change."""


class RenderingError(TeragError):
    """A document could not be made within its limits."""


class AccessError(TeragError):
    """The caller may not do this."""


class UnauthenticatedError(AccessError):
    """No API key, or not a valid one."""


class ForbiddenError(AccessError):
    """The key's role does not allow it."""


class NotFoundError(TeragError):
    """Nothing has this id in the promoted batch."""
