"""The validator: checks become findings, findings become a report.

What lives here: the check model and engine (``model``, ``registry``, ``engine``, ``child``, ``worker``), the
things a check looks at (``subject``, ``host/``), the checks, one module per category (``checks/``),
and what is done with the results (``report``, ``remedies``, ``junit``, ``console``, ``cli``).

May import: the standard library (Python 3.9+), ``bundle`` and itself; ``psutil`` only if it is importable.
"""

VERSION = "0.1.0"
