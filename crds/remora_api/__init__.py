"""What Remora's parts say to users and to each other: the resource, the labels, and the wire."""
