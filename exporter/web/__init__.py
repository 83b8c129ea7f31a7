"""Pages for people: the state of all models, and a page per version.

They are rendered on the server from `templates` (`rendering`) and have no scripts. `routes` has the status
page: an entry for each version (`status`) with its state in a sentence (`states`), what it lacks (`needs`)
and figures over time (`history`, `pictures`, `sparkline`), beside what is wrong with the exporter itself
(`notices`). `version_routes` has the page of a version (`version_page`).
"""
