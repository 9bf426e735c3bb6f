"""What is served: the same programs on Ray Serve and on Remora, and in `bare` the same work for bare uvicorn."""
