"""`serve.batch`: calls of one function, gathered into batches. `batch → queue → gathering (pure)`."""

from remora.batching.batch import batch

__all__ = ["batch"]
