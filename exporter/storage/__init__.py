"""The durable state of an exporter, on SQLite or PostgreSQL.

`store.Store` opens it and reads it, `transaction.Transaction` writes it: ids of rows and the counts that
contain them in one database transaction, so that nothing has to be replayed after a crash. `schema` has the
tables, `migrations` upgrades those of older releases, `database` and `store_files` keep other processes out.
`lsm` finds rows by id, `rows` says what they hold, `labels` what a join asks of them.
"""
