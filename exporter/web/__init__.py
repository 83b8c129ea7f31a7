"""Pages for people: the state of all models, and a page per version.

They are rendered on the server from `templates` (`rendering`) and have no scripts; `routes` serves them. The
status page has an entry for each version (`status`) with its state in a sentence (`states`), what it lacks
(`needs`) and figures over time (`history`, `pictures`, `sparkline`), beside what is wrong with the exporter
itself (`notices`). The page of a version (`version_page`) has its `columns` with their `distributions`, its
`quality` and `segments`, and `next_steps`. `report_pages` stand in for a report that there is not yet.
"""
