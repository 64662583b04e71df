"""The recovery assistant: a report's findings become causes, causes become remedies, remedies are applied.

What lives here: the strict reader of a report (``diagnosis``), the fixed table of causes by check id (``causes``),
the fixed list of actions (``actions``), the record of what was done (``record``) and the flow (``assistant``).

May import: the standard library (Python 3.9+), ``bundle``, ``validator`` and itself; ``installer.audit`` where the
installer lies beside it. Nothing that is written in a report is ever run, or becomes part of a command.
"""
