"""serve.multiplexed: several models on one replica, the least recently used leaves."""

import pytest
from ray import serve


class Model:
    def __init__(self, name, log):
        self.name = name
        self.log = log

    def __del__(self):
        self.log.append(f"-{self.name}")


@serve.deployment(max_ongoing_requests=10)
class Models:
    def __init__(self):
        self.log = []

    @serve.multiplexed(max_num_models_per_replica=2)
    async def get_model(self, model_id: str):
        if model_id == "broken":
            raise ValueError("weights of broken are broken")
        self.log.append(f"+{model_id}")
        return Model(model_id, self.log)

    async def __call__(self, request):
        model = await self.get_model(serve.get_multiplexed_model_id())
        return f"{model.name} of {serve.get_multiplexed_model_id()}"

    async def load(self, model_id):
        return (await self.get_model(model_id)).name

    async def current(self):
        return (await self.get_model(serve.get_multiplexed_model_id())).name

    async def loaded(self):
        # A model may be told to go more than once.
        return list(dict.fromkeys(self.log))


@pytest.fixture
def models(run):
    return run(Models.bind())


@pytest.fixture(scope="module")
def shared(share):
    return share(Models.options(name="Shared").bind(), "models")


def test_the_least_recently_used_model_leaves(models):
    for name in ("a", "b", "a", "c"):
        assert models.load.remote(name).result() == name
    assert models.loaded.remote().result() == ["+a", "+b", "-b", "+c"]
    assert models.load.remote("a").result() == "a"
    assert models.loaded.remote().result() == ["+a", "+b", "-b", "+c"]


def test_the_header_names_the_model(shared, http):
    answer = http.get("/models/", headers={"serve_multiplexed_model_id": "h1"})
    assert answer.text == "h1 of h1"


def test_the_header_may_have_hyphens(shared, http):
    answer = http.get("/models/", headers={"serve-multiplexed-model-id": "h2"})
    assert answer.text == "h2 of h2"


def test_the_handle_names_the_model(shared):
    assert shared.options(multiplexed_model_id="m").current.remote().result() == "m"


def test_a_model_that_cannot_be_loaded_fails_its_call_only(shared):
    with pytest.raises(ValueError, match="broken"):
        shared.load.remote("broken").result()
    assert shared.load.remote("good").result() == "good"


def test_calls_of_one_model_load_it_once(shared):
    responses = [shared.load.remote("once") for _ in range(5)]
    assert [response.result() for response in responses] == ["once"] * 5
    assert shared.loaded.remote().result().count("+once") == 1


def test_a_model_id_must_be_text(shared):
    with pytest.raises(TypeError):
        shared.load.remote(3).result()
    with pytest.raises(ValueError):
        shared.load.remote("").result()


def test_multiplexed_is_for_async_functions():
    with pytest.raises(TypeError, match="async"):

        @serve.multiplexed
        def load(model_id):
            return model_id


def test_multiplexed_options_are_checked():
    with pytest.raises(TypeError, match="max_num_models_per_replica"):
        serve.multiplexed(max_num_models_per_replica="3")
    with pytest.raises(ValueError, match="max_num_models_per_replica"):
        serve.multiplexed(max_num_models_per_replica=0)


def test_multiplexed_needs_a_model_id():
    with pytest.raises(TypeError):

        @serve.multiplexed
        async def load():
            return 1
