"""What an application is made of in Kubernetes: pure functions from what is wanted to manifests.

Each module makes one noun. None of them looks at what exists; `plan` compares.
"""
