"""The audit trail: what was measured, decided and done, in a chain of digests that shows any later change.

`record.Entry` is what is to be recorded; `trail.append` records it within the transaction that it describes.
`checkpoint` signs the end of the chain, `anchors` reads the ends that are remembered outside of the store,
and `verification` compares them with what is stored. `segments` deletes old records and `erasure` the content
of a single one, both without breaking the chain. `export` and `report` write it up for others.
"""
