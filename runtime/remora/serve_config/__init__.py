"""Ray Serve's config files: read (`file`), and turned into what runs here (`targets`) or in a cluster (`manifests`).

What has no counterpart is never dropped in silence: both say it, a sentence each.
"""
