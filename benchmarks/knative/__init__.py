"""Remora's `scaleToZero` beside Knative Serving: the same work at zero, and around it, on the same two-node cluster."""
