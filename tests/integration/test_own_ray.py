from ray._private.node import Node

from remora.controller import own_ray


def test_the_ray_installed_has_all_that_is_left_out_and_gets_it_back() -> None:
    before = {name: vars(Node)[name] for name in own_ray.NOT_NEEDED}
    with own_ray.lean():
        for name, method in before.items():
            assert vars(Node)[name] is not method
            getattr(Node, name)(None, include_dashboard=False)
    assert {name: vars(Node)[name] for name in own_ray.NOT_NEEDED} == before
