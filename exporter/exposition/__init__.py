"""The page of `/metrics`, made without I/O.

The state of every version becomes a `view`, and a view becomes samples: each module of series (`versions`,
`columns`, `quality`, `segments`, `experiments`, `telemetry`, `remediation`) has its metrics, the functions
that read them, and the number of series they may need. `collector` puts a page of `samples` together within
the limit on series, with the label `prefixes` of the page before, `negotiation` and `render` make an answer
of it, and `catalog` lists every `metric`, those of the `process` included.
"""
