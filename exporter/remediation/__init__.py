"""Remediation: alerts that match a policy lead to an action, guarded, at most once, and recorded.

`receiving` takes alerts and plans actions. `engine` takes them from state to state: `decision` asks the
`guards` and for approval, `execution` carries out (`alias_move` moves aliases, `jobs` asks orchestrators),
`follow_up` and `verification` find out whether it helped. `ledger` and `holds` store actions and holds; each
change is one conditional update with its audit record, see `action` for the states.
"""
