"""The audit trail: what was measured, decided and done, in a chain of digests that shows any later change.

`record.Entry` is what is to be recorded, `trail.append` records it within the transaction that it describes.
"""
