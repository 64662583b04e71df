"""The whole way on a real isolated host: a Debian root booted by systemd-nspawn with no network.

Lives here: the harness (`host_root`, `machine`, `outbound`, `documents`), the journey that a test and
`make demo` share (`journey`, `story`), and the tests of both.  May import the standard library, pytest and
`bundle.text`; everything else of the product is only ever run as its users run it: by its commands.
"""
