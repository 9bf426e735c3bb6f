from ray import serve
from ray.serve.deployment import Application


@serve.deployment
class Preprocessor:
    def __call__(self, request):
        data = request.json()["data"]
        processed_data = data.upper()  # Simple example: uppercase the data
        return processed_data


@serve.deployment
class Model:
    def __init__(self):
        # In a real scenario, load your model here
        print("Model loaded.")

    def __call__(self, request):
        processed_data = request.json()["data"]
        # Simulate model inference
        result = f"Model processed: {processed_data}"
        return result


@serve.deployment
class Postprocessor:
    def __call__(self, request):
        model_result = request.json()["data"]
        final_result = f"Final output: {model_result.replace('Model processed:', 'Inferred result:')}"
        return final_result


# Compose the deployments into an application
app = Preprocessor.bind().then(Model.bind()).then(Postprocessor.bind())

# Deploy the application
serve.run(app)
