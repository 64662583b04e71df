"""What a bundle is: its layout, manifest, checksums, signature, limits and errors.

The only package that both sides share. Standard library only, Python 3.9 or newer; it imports nothing
else of the project. The connected side writes bundles with it, the isolated side verifies with it.
"""
