"""Names of the numbered folders and of the files beside them."""

from __future__ import annotations

PREREQUISITES = "01_Prerequisites"
DEPENDENCIES = "02_Dependencies"
WHEELS = "02_Dependencies/wheels"
SOURCE = "03_Source"
SCRIPTS = "04_Scripts"
DOCUMENTATION = "05_Documentation"
VERIFICATION = "06_Verification"
# The records that change whom a host trusts; read before the manifest's signature is judged.
TRUST = "06_Verification/trust"
MODELS = "07_Models"
FOLDERS = (PREREQUISITES, DEPENDENCIES, SOURCE, SCRIPTS, DOCUMENTATION, VERIFICATION, MODELS)

MANIFEST = "MANIFEST.json"
SIGNATURE = "MANIFEST.json.sig"
CHECKSUMS = "checksums.sha256"
# Only in a partial bundle's archive, never in a bundle.
DELTA = "DELTA.json"
METADATA = (MANIFEST, SIGNATURE, CHECKSUMS)
# The first signature, and the further ones that a bundle may have: numbered without a gap, each over the
# manifest. More signers than this are not a policy, they are a mistake.
SIGNATURES = (SIGNATURE, *(f"{MANIFEST}.{number}.sig" for number in range(2, 9)))

# The SSHSIG namespace: a signature made for another purpose with the same key is refused.
NAMESPACE = "ragtrace-bundle@v1"
PROVENANCE_NAMESPACE = "ragtrace-provenance@v1"
VOLUMES_NAMESPACE = "ragtrace-volumes@v1"
TRUST_NAMESPACE = "ragtrace-trust@v1"
ADVISORIES_NAMESPACE = "ragtrace-advisories@v1"
PRODUCT = "ragtrace-enterprise"


def archive_stem(version: str, target: str) -> str:
    """Return the archive's name without its suffix, which is also its top folder's name."""
    return f"RAGTrace-Enterprise-{version}-{target}"
