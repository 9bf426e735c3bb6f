"""Stands for `ray.serve.generated`: the service that every gRPC port has beside those of users."""
