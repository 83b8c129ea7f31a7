"""The false-alarm study: clean traffic, simulated and real, through the real evaluation and the rules' logic.

make study                       # a quarter of an hour; writes its tables into the README
python -m tests.study --quick    # three minutes, two models of each world; prints them

laws         distributions of single columns, as values and as shares of a reference's bins
worlds       references and live traffic of models whose columns follow such laws, through the seasons
scenarios    which worlds there are
simulation   a scenario -> its false pages
replay       blocks of a version -> its evaluations
rules        evaluations -> alerts and pages, as prometheus/rules and alertmanager.yml would
peers        what others alert on, on the same traffic
flights      the same for the flights of 2013
incidents    what is broken on purpose, and how long it takes until somebody is told
figures      pages per model and quarter, with what chance allows; the tables
"""
