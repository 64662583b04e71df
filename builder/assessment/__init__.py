"""Assessment: what a security reviewer decides on - components, licences, advisories, policy, dossier."""
