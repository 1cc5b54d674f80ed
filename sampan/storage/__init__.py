"""What outlives a call: the database, the records, the keys, and the artifacts.

Words of this room: the *data folder* holds everything; the *spool* is the file where a record is safe from the death of
the process before the database has it; *draining* moves records from the spool to the database; *replaying* does so for
the spool that a dead process left; a *link* is an artifact's signed, expiring URL.

Everything that touches the database or a disk blocks: the event loop calls it through `asyncio.to_thread`. Two things
are made to be called on the loop itself, `Records.append` and `Identity.authenticate`; neither does any I/O.
"""
