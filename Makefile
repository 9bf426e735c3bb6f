# Everything that is done with Remora's sources. `make help` lists it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help venv check format generate test test-unit test-ray test-compat test-cluster soak-rollouts soak-bad-specs soak-decisions demo demo-down bench bench-cluster bench-peers bench-knative bench-quick bench-bodies soak-leaks clean

help: ## What can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 16

$(VENV)/.installed: pyproject.toml
	@echo "installing Python packages into $(VENV) (about 30 s with a warm cache)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@

venv: $(VENV)/.installed ## The Python environment, in .venv

check: venv ## Format, lint, types, layers, generated files, unit tests: about four minutes
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m remora_api generate --check
	$(BIN)/python -m tests.compatibility --check
	$(BIN)/pytest -q tests/architecture tests/unit tests/model

format: venv ## Format and fix what can be fixed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

generate: venv ## Write the CRD, its chart copy and the reference page from the models, and the page on compatibility
	$(BIN)/python -m remora_api generate
	$(BIN)/python -m tests.compatibility

test: venv ## Everything: checks, unit, real Ray, real Kubernetes (skipped with the reason where it cannot run)
	$(BIN)/python -m tests.run

test-unit: venv ## Pure modules only
	$(BIN)/pytest -q tests/architecture tests/unit tests/model

test-ray: venv ## With a real Ray on this machine
	$(BIN)/pytest -q tests/integration

test-compat: venv ## The same programs on Ray Serve 2.60 and on Remora, in two columns (Ray Serve gets an environment of its own)
	$(BIN)/python -m tests.compat $(ARGS)

test-cluster: venv ## On the real Kubernetes of tests/cluster
	$(BIN)/pytest -q tests/e2e

soak-rollouts: venv ## 100 rollouts of every kind under load, and their table in docs/results (TIMES=100 LONG=30 N=1 MINUTES=90 KINDS=code,canary INTO=file)
	$(BIN)/python -m tests.e2e.soak --times $(or $(TIMES),100) --long $(or $(LONG),30) --side-by-side $(or $(N),1) $(if $(MINUTES),--minutes $(MINUTES)) $(if $(KINDS),--kinds "$(KINDS)") --into $(or $(INTO),docs/results/rollouts.md)

soak-bad-specs: venv ## Every bad spec that no schema can refuse, on the cluster, and what is said of it (ROWS=image,node INTO=file)
	$(BIN)/python -m tests.e2e.bad_specs $(if $(ROWS),--rows "$(ROWS)") --into $(or $(INTO),docs/results/bad-specs.md)

soak-decisions: venv ## 1,000 autoscaling decisions, and what kubectl diff and Helm find after them (DECISIONS=1000 INTO=file)
	$(BIN)/python -m tests.e2e.decisions --decisions $(or $(DECISIONS),1000) --into $(or $(INTO),docs/results/autoscaling-decisions.md)

demo: venv ## Install the operator and examples/hello on a cluster (CONTEXT=… REGISTRY=… to name one) and call it
	@$(BIN)/python -m demo up $(if $(CONTEXT),--context $(CONTEXT)) $(if $(REGISTRY),--registry $(REGISTRY))

demo-down: venv ## Remove everything that `make demo` made (with the same CONTEXT=… REGISTRY=…)
	@$(BIN)/python -m demo down $(if $(CONTEXT),--context $(CONTEXT)) $(if $(REGISTRY),--registry $(REGISTRY))

soak-leaks: venv ## What a million requests, 10,000 cancelled and 10,000 disconnected ones leave behind (ARGS="--answered 100000")
	$(BIN)/python -m benchmarks.leaks $(ARGS)

bench-bodies: venv ## Memory of proxy and replica while 1 GiB bodies pass, either way
	$(BIN)/python -m benchmarks.large_bodies --out docs/results/large-bodies.md

bench: venv ## Every row of docs/benchmarks.md beside bare uvicorn and Ray Serve (ROWS=noop,chain SIDES=bare,remora ROUNDS=3 SECONDS=4 INTO=file)
	@$(BIN)/python -m benchmarks $(if $(ROWS),--rows $(ROWS)) $(if $(SIDES),--sides $(SIDES)) $(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(SECONDS),--seconds $(SECONDS)) $(if $(INTO),--into $(INTO))

bench-cluster: venv ## The data plane inside the test cluster: client pod, Service, proxy, replica, beside bare uvicorn and Ray Serve (ROUNDS=3 SECONDS=3 PROGRAMS=noop INTO=file)
	@$(BIN)/python -m benchmarks.in_cluster $(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(SECONDS),--seconds $(SECONDS)) $(if $(PROGRAMS),--programs $(PROGRAMS)) $(if $(INTO),--into $(INTO))

bench-peers: venv ## The same work by Remora and by KubeRay with Ray Serve on the test cluster, about 35 minutes (ROWS=start,code SIDES=KubeRay INTO=file)
	@$(BIN)/python -m benchmarks.peers $(if $(ROWS),--rows $(ROWS)) $(if $(SIDES),--sides $(SIDES)) --into $(or $(INTO),docs/results/kuberay.md)

bench-knative: venv ## Going to zero and coming back by Remora and by Knative Serving on the test cluster, about 30 minutes (ROWS=first,rest SIDES=Knative,Remora,RemoraZero ROUNDS=5 INTO=file)
	@$(BIN)/python -m benchmarks.knative $(if $(ROWS),--rows $(ROWS)) $(if $(SIDES),--sides $(SIDES)) $(if $(ROUNDS),--rounds $(ROUNDS)) --into $(or $(INTO),docs/results/knative.md)

bench-quick: venv ## Figures of the README, in under 3 minutes
	$(BIN)/python -m benchmarks.quick

clean: ## Remove what was built here; the proving ground has `python -m tests.cluster down`
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache dist
