# Every target that needs a tool installs what is missing first, and says what and why.
SHELL := /bin/bash
.DEFAULT_GOAL := help
STACK ?= dev
CMD ?=
LEVEL ?= redis
WORKLOAD ?= steady
RATE ?= 200
DURATION ?= 60s
REPEAT ?= 1
BASELINE ?=
THRESHOLDS ?= $(firstword $(wildcard $(patsubst %,loadtests/thresholds/%.yaml,$(WORKLOAD)-$(LEVEL) $(WORKLOAD))))
RUN := . ci/env.sh &&
PULUMI := $(RUN) pulumi --non-interactive --stack $(STACK)

.PHONY: help up down status logs redis-cli session-env load capacity render cluster cluster-down env tools test-tools check test prove

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12
	@echo; echo "STACK=$(STACK) chooses the stack: stacks/Pulumi.STACK.yaml. Example: make up STACK=dev"

up: tools ## bring a deployment up (or to its changed settings) and prove it by a first session
	@bash ci/stack.sh $(STACK)
	@$(PULUMI) up --yes --refresh --suppress-outputs
	@bash ci/stack.sh $(STACK)
	@$(PULUMI) stack output --json --show-secrets | python ci/first_session.py $(STACK)

down: ## stop and remove a deployment; its sessions stay in the volumes unless deleteData is set
	@$(RUN) bash ci/stack.sh $(STACK)
	@$(PULUMI) destroy --yes
	@bash ci/stack.sh $(STACK)

status: ## what runs, and who is primary
	@$(RUN) bash ci/status.sh $(STACK)

logs: ## the last lines of every container (CMD=redis-1 for one, CMD=-f to follow)
	@docker compose --project-name redis-session-kit-$(STACK) logs --tail 500 $(CMD)

redis-cli: ## redis-cli on the primary as admin (CMD='HGETALL key' for one command)
	@$(RUN) bash ci/redis-cli.sh $(STACK) $(CMD)

session-env: ## settings of the session library for an application on this host: eval "$$(make session-env)"
	@$(PULUMI) stack output --json --show-secrets | python -m infra.outputs_env --ca-file .state/$(STACK).ca.pem

load: ## load on a deployment at a fixed rate, and whether it held: LEVEL=redis|http WORKLOAD=steady RATE=200 DURATION=60s
	@$(RUN) python -m loadtests --stack $(STACK) --level $(LEVEL) --workload $(WORKLOAD) --rate $(RATE) \
	  --run-time $(DURATION) --users 50 --spawn-rate 50 --stop-timeout 60 --report .state/load-$(STACK) \
	  --repeat $(REPEAT) $(addprefix --baseline ,$(BASELINE)) $(addprefix --thresholds ,$(THRESHOLDS))

render: ## Kubernetes manifests of a stack in OUT=.state/STACK: make render STACK=kind, then kubectl apply
	@bash ci/python.sh
	@$(RUN) python -m infra.targets.kubernetes --stack $(STACK) --out $(or $(OUT),.state/$(STACK))

capacity: ## the highest rate that a deployment holds, in steps, and where its limit is: LEVEL=redis|http WORKLOAD=steady
	@$(RUN) python -m loadtests.capacity --stack $(STACK) --level $(LEVEL) --workload $(WORKLOAD) --users 50 \
	  --spawn-rate 50 --stop-timeout 10 --thresholds $(THRESHOLDS) --report .state/capacity-$(STACK)

cluster: tools ## a Kubernetes cluster with the images of a deployment: that of KUBECONFIG, else one of our own in a container
	@bash ci/cluster.sh

cluster-down: ## remove our own cluster; what it was built from stays
	@bash ci/cluster.sh down

env: ## exports for your own shell: eval "$$(make env)"
	@bash ci/env.sh

tools: ## install what this machine lacks: Python environment, Docker engine, compose, Pulumi, images
	@bash ci/toolchain.sh

test-tools: ## install what only the tests need: Prometheus, busybox
	@bash ci/test-tools.sh

check: ## formatting, lint, types, architecture
	@bash ci/python.sh
	@$(RUN) ruff format --check . && ruff check . && mypy && lint-imports

test: tools test-tools check ## every test but those of make prove (CMD='-k words' or CMD=tests/cluster for some)
	@# tests run make as a user does, not as a child of this one, which would print more
	@$(RUN) env -u MAKEFLAGS -u MAKELEVEL -u MFLAGS python -m pytest -m 'not long' $(CMD)

prove: tools test-tools ## what takes longer than a test: mutants of the Lua, more histories and failovers, every broken deployment, the longest tests
	@$(RUN) python -m tests.mutation
	@$(RUN) KIT_TEST_MODEL_EXAMPLES=400 KIT_TEST_FAILOVERS=5 python -m pytest -s tests/session_core/test_{model,histories}.py
	@$(RUN) KIT_TEST_MATRIX=. python -m pytest -s tests/conformance/test_matrix.py
	@$(RUN) python -m pytest -s -m long
	@$(RUN) conformance run --kills 20 --out conformance-report
