"""The bundle: everything that the catalog names, in one directory with a manifest, digests and a bill of materials.

create.py writes one from a source (upstream.py, build.py, mirror.py), verify.py checks it, serve.py offers it to nodes.
docs/how-to/bundle.md describes the directory.
"""
