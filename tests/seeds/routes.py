import ray
from ray import serve
from ray.dag import InputNode
from ray.serve.drivers import DAGDriver
from ray.serve.http_adapters import json_request


@serve.deployment
class Adder:
    def __init__(self, by):
        self.by = by

    def add(self, number):
        return number + self.by


@serve.deployment
def combine(parts, scale):
    return sum(parts) * scale


with InputNode() as inp:
    one, ten = Adder.bind(1), Adder.bind(10)
    added = combine.bind([one.add.bind(inp["number"]), ten.add.bind(inp["number"])], inp["scale"])
    dag = DAGDriver.bind({"/added": added, "/ten": ten.add.bind(inp["number"])}, http_adapter=json_request)

handle = serve.run(dag)
assert ray.get(handle.predict_with_route.remote("/added", {"number": 1, "scale": 3})) == 39
refs = [handle.predict_with_route.remote("/ten", {"number": number}) for number in range(3)]
assert ray.get(refs) == [10, 11, 12]
