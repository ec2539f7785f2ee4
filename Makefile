# What a person does with Edubba. `make help` lists it.
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help
PYTHON := .venv/bin/python
QUICK := not (slow or root or exhaustive or bench or cloud)
# Tests wait more than they compute. Those of a file stay together: they share what it starts.
AT_ONCE := --numprocesses=2 --dist=loadfile --no-loadscope-reorder
GATES := check-tests check-types check-lint check-playbooks check-contracts
CLOUD ?= local
SUDO := $(if $(filter 0,$(shell id -u)),,sudo --preserve-env=CLOUD,EDUBBA_INSTANCE,EDUBBA_CLOUDS_FILE,EDUBBA_CLOUD_ENTRY,EDUBBA_CLOUD_ROLE,EDUBBA_CLOUD_EXTERNAL_NETWORK,EDUBBA_CLOUD_ADDRESSES,EDUBBA_CLOUD_EDGE,EDUBBA_CLOUD_CONFIGURATOR,EDUBBA_CLOUD_IMAGES_ENTRY,EDUBBA_CLOUD_NOTIFICATIONS_URL,EDUBBA_REGIONS_FILE,EDUBBA_KEYSTONE_URL,EDUBBA_KEYSTONE_CA_FILE,EDUBBA_KEYSTONE_CLOUDS_FILE,EDUBBA_KEYSTONE_ENTRY,EDUBBA_DEVCLOUD,EDUBBA_DEVCLOUD_LINK,EDUBBA_DEVCLOUD_FLOATING,EDUBBA_DEVCLOUD_VIRT)

.PHONY: help
help: ## list what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: up
up: ## from a bare Debian 12 to a live example site (CLOUD=openstack: in a region of OpenStack)
	@$(SUDO) playbooks/up.sh

.PHONY: down
down: ## stop all that runs, keep the data
	@$(SUDO) playbooks/down.sh

.PHONY: clean
clean: ## stop all that runs and remove every trace of it
	@$(SUDO) playbooks/down.sh clean

.PHONY: images
images: ## prepare the image of each kind of hosting (FAMILIES="php-site …": of these; CLOUD=openstack: as disks)
	@$(SUDO) CLOUD=$(CLOUD) playbooks/images.sh $(FAMILIES)

.PHONY: devcloud
devcloud: ## an OpenStack on this machine, for tests and evaluation (TIER=fast: servers that only exist in its database)
	@$(SUDO) playbooks/devcloud.sh up $(or $(TIER),real)

.PHONY: devcloud-down
devcloud-down: ## end that OpenStack, keep its data
	@$(SUDO) playbooks/devcloud.sh down

.PHONY: devcloud-clean
devcloud-clean: ## end it and remove every trace of it
	@$(SUDO) playbooks/devcloud.sh clean

.PHONY: check
check: dev ## lint, types, contracts and quick tests
	@$(MAKE) -j2 -k --output-sync=target $(GATES)

.PHONY: check-lint
check-lint: dev ## ruff: lint and format
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .

.PHONY: check-types
check-types: dev ## mypy, strict
	$(PYTHON) -m mypy

.PHONY: check-contracts
check-contracts: dev ## import-linter: who may import whom
	.venv/bin/lint-imports --no-logo

.PHONY: check-playbooks
check-playbooks: dev ## yamllint, ansible-lint, shellcheck
	.venv/bin/yamllint --strict .
	PATH="$(CURDIR)/.venv/bin:$$PATH" .venv/bin/ansible-lint -q playbooks
	shellcheck -x playbooks/*.sh .ci/run

.PHONY: check-tests
check-tests: dev ## the quick tests
	$(PYTHON) -m pytest -q $(AT_ONCE) -m "$(QUICK)"

.PHONY: test
test: dev ## everything else but the exhaustive kills
	$(PYTHON) -m pytest $(AT_ONCE) -m "not ($(QUICK)) and not (exhaustive or bench or cloud)"

.PHONY: test-cloud
test-cloud: dev ## all that an OpenStack is tested by, on the one that make devcloud brought up (TIER=fast: what needs no guests)
	set -a; . /etc/$${EDUBBA_DEVCLOUD:-devcloud}/edubba.env; \
		$(PYTHON) -m pytest -m "cloud and not bench$(if $(filter fast,$(TIER)), and not slow)"

.PHONY: test-faults
test-faults: dev ## all kills, also on the local cloud
	$(PYTHON) -m pytest -m exhaustive

.PHONY: faults-cloud
faults-cloud: dev ## workers killed in 200 runs (EDUBBA_RUNS) on an OpenStack (TIER=fast) whose calls go wrong
	set -a; . /etc/$${EDUBBA_DEVCLOUD:-devcloud}/edubba.env; EDUBBA_RUNS=$${EDUBBA_RUNS:-200} \
		$(PYTHON) -m pytest -v --numprocesses=2 -m cloud tests/openstack/test_lost_answers.py

.PHONY: bench
bench: dev ## measure and print
	$(PYTHON) -m pytest -q -s -m "bench and not cloud"

.PHONY: bench-cloud
bench-cloud: dev ## measure on an OpenStack (TIER=fast) what a tenant costs, beside a bare script
	set -a; . /etc/$${EDUBBA_DEVCLOUD:-devcloud}/edubba.env; \
		$(PYTHON) -m pytest -q -s -m "bench and cloud" tests/bench/test_openstack.py

.PHONY: fmt
fmt: dev ## format the code
	$(PYTHON) -m ruff check --fix-only .
	$(PYTHON) -m ruff format .

.PHONY: dev
dev:
	@playbooks/bootstrap.sh dev
