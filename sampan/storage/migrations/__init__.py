"""The steps from each released schema to the next, and back. `storage.migrating` takes them.

A step stays as it was released, whatever becomes of `storage.tables`.
"""

from sqlalchemy import BigInteger, Integer

SEQUENCE = BigInteger().with_variant(Integer, "sqlite")
"""What counts rows up by itself: SQLite does so for this type alone, where it has 64 bits anyway."""
