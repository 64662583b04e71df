"""Material for tests: wheels, a package index on loopback, projects, bundles. No tests in here."""
