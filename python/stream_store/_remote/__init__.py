"""Shipping a store to an object store, and mirroring it on other hosts.

docs/format.md, "Remote stores", specifies the objects. `bucket` translates obstore; `manifest` has
the manifests and the states that follow from them; `shipper` and `mirror` are the two ends.

obstore is imported when a URL is opened.
"""
