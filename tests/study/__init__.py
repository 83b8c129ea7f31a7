"""The false-alarm study: clean traffic, simulated and real, through the real evaluation and the rules' logic.

make study                                  # forty minutes of CPU; writes into prometheus/README.md
python -m tests.study --quick               # five minutes, two models of each world; prints the rows
python -m tests.study --write --only flights  # the rows whose name matches, again

laws         distributions of single columns, as values and as shares of a reference's bins
worlds       references and live traffic of models whose columns follow such laws, through the seasons
scenarios    which worlds there are, and which nobody had in view when the constants were chosen
simulation   a scenario -> its false pages
replay       blocks of a version -> its findings
rules        findings -> alerts and pages, as prometheus/rules and alertmanager.yml would
frontier     thresholds: false pages against the hours until a change is told
detectors    change detectors of textbooks and of river, on figures of days
peers        what others alert on, on the same traffic
flights      the same for the flights of 2013
incidents    what is broken on purpose, and how long it takes until somebody is told
labelled     models whose labels come -> their evaluations, and what /metrics shows of them
label_habits their arrivals -> how long they may be without labels, and how few they may have
quality      which of those there are, clean and broken
traffic      counters of models that are asked, and of their answers
queries      samples of weeks -> what the rules select of them, by Prometheus itself
figures      pages per model and quarter, with what chance allows; the tables
"""
