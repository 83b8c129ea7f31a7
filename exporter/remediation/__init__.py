"""Remediation: alerts that match a policy lead to an action, guarded, at most once, and recorded.

`receiving` takes alerts and plans actions, `engine` decides and carries them out, `guards` stop what should
not happen. The states of an action and its row in the store are in `action` and `ledger`.
"""
