"""The connected side: lock → plan → fetch → stage → seal → pack.

Runs on the build box with the root project's dependencies; imports `bundle/` and nothing else of the
project. `builder.bootstrap` alone is standard library only: it brings the rest.
"""
