"""The isolated side: verify, preflight, plan, apply with a journal, switch, health - or put back.

Standard library only, Python 3.9 or newer. It imports `bundle` and nothing else of the project.
`install.py` of the bundle is a thin entry to `installer.cli`. The layout of an installation and the
one commit point (`current.json`) are described in `paths` and `pointer`.
"""
