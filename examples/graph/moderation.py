"""A moderated comment box: translated if need be, two opinions side by side, a new model for some of the comments."""

from ray import serve


@serve.deployment
class Clean:
    """Takes the request, gives a dict: every stage after it works on dicts."""

    def __call__(self, request):
        comment = request.json()
        return {"text": comment["text"].strip(), "language": comment.get("language", "en")}


@serve.deployment
class Translate:
    def __init__(self, language):
        self.language = language

    def __call__(self, comment: dict):
        words = {"de": {"hallo": "hello", "welt": "world"}}[self.language]
        text = " ".join(words.get(word, word) for word in comment["text"].lower().split())
        return {**comment, "text": text, "translated": True}


@serve.deployment
def length(comment: dict):
    return len(comment["text"])


@serve.deployment
class Rude:
    def __init__(self, words):
        self.words = set(words)

    def __call__(self, comment: dict):
        return sorted(self.words & set(comment["text"].lower().split()))


@serve.deployment
def verdict(opinions: dict):
    accepted = not opinions["rude"] and opinions["length"] < 200
    return {"accepted": accepted, **opinions}
