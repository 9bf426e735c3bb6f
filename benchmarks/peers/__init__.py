"""Remora beside its nearest peer, KubeRay's RayService with Ray Serve: the same work on the same two-node cluster."""
