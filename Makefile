# `make demo` and `make test` create their environment by themselves; nothing is installed outside .venv.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
DEMO_ARGS ?=
PYTEST_ARGS ?=
BENCH_ARGS ?=
CHAOS_ARGS ?=

# Kept bytecode is a third of the time in which tests are collected, in each of their processes.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo test lint types unit kafka-test kafka bench chaos chaos-model fuzz soak pictures page-pictures dashboards docs docs-links reference secrets audit sbom clean

help:
	@echo "make demo    watch simulated models live; options through DEMO_ARGS=\"--duration 60s\""
	@echo "make test    lint, types, all tests; starts a real Apache Kafka (needs Java 17 and Maven)"
	@echo "make kafka   a real Apache Kafka for trying by hand"
	@echo "make bench   the benchmarks, an hour or more; BENCH_ARGS=\"late_labels --quick\" is a try of one"
	@echo "make chaos   kills, freezes and cuts off everything for eight minutes, then counts what was lost: 0"
	@echo "make chaos-model   a thousand random sequences of crashes over the pure core, counted by hand"
	@echo "make fuzz    a million broken messages through the worker's decoder; all: CHAOS_ARGS=\"--seed 1\""
	@echo "make soak    half an hour of 20,000 events/s with the chaos on; memory must stay flat"
	@echo "make pictures  draws the pictures of the documentation again"
	@echo "make page-pictures  draws those of the page again, in a real Chromium"
	@echo "make dashboards  writes the files of Grafana's dashboards and of the operator's rules again"
	@echo "make docs    builds the documentation into site/, offline; make docs-links: only whether links lead somewhere"
	@echo "make reference  writes the tables of the documentation that are made from the code"

	@echo "make secrets   makes up the passwords that the compose file needs, into .env"
	@echo "make audit   asks PyPI's advisory service about every installed package; make sbom: lists them in sbom.json"
	@echo "make clean   remove $(VENV) and what the tools left"

# uv is quicker where it is installed; pip does the same. Python compiles what it imports, which is a part.
define install
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v <= (3, 13) else \
	  f"aftcast needs Python 3.11 to 3.13; $(PYTHON) is {v[0]}.{v[1]}: make PYTHON=/path/to/python3.13 $(MAKECMDGOALS)")'
	@if command -v uv >/dev/null 2>&1; then \
	  test -x $(BIN)/python || uv venv --quiet --python $(PYTHON) $(VENV); \
	  uv pip install --quiet --python $(BIN)/python -e "$(1)"; \
	else \
	  test -x $(BIN)/python || $(PYTHON) -m venv $(VENV); \
	  $(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check -e "$(1)"; \
	fi
endef

# One stamp for each extra: installed again only when pyproject.toml changes.
$(VENV)/.demo: pyproject.toml
	@echo "installing aftcast[demo] into $(VENV) (once)"
	$(call install,.[demo])
	@echo "compiling for this machine (once, some 20 s)"
	@$(BIN)/python -m aftcast.warm_up
	@touch $@

$(VENV)/.test: pyproject.toml
	@echo "installing aftcast[test] into $(VENV) (once)"
	$(call install,.[test])
	@touch $@

$(VENV)/.bench: pyproject.toml
	@echo "installing aftcast[bench] into $(VENV) (once)"
	$(call install,.[bench])
	@touch $@

$(VENV)/.docs: pyproject.toml
	@echo "installing aftcast[docs] into $(VENV) (once)"
	$(call install,.[docs])
	@touch $@

demo: $(VENV)/.demo
	@$(BIN)/aftcast demo $(DEMO_ARGS)

test: lint types unit kafka-test

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

# Kernels are compiled on the other core meanwhile, once; every process of the tests would do it for itself.
types: $(VENV)/.test
	@$(BIN)/python -m aftcast.warm_up >/dev/null & \
	  echo $(BIN)/mypy; $(BIN)/mypy; found=$$?; wait; exit $$found

# In the order of names: a process can own one embedded engine, and tests/sinks keep theirs to the end.
unit: $(VENV)/.test
	$(BIN)/pytest -q -n 3 --dist loadfile --no-loadscope-reorder -m "not kafka" $(PYTEST_ARGS)

# Without Java or Maven these skip with one line that says so; with CI=true they fail instead. The longest, of
# the chaos, is the first by name.
kafka-test: $(VENV)/.test
	$(BIN)/pytest -q -n 3 --dist loadfile --no-loadscope-reorder -m kafka -rs tests $(PYTEST_ARGS)

kafka: $(VENV)/.demo
	$(BIN)/python -m aftcast.kafka_broker

bench: $(VENV)/.bench
	$(BIN)/python -m benchmarks $(BENCH_ARGS)

chaos: $(VENV)/.test
	$(BIN)/python tests/chaos $(CHAOS_ARGS)

chaos-model: $(VENV)/.test
	$(BIN)/python tests/chaos/fault_sequences.py $(CHAOS_ARGS)

soak: $(VENV)/.test
	$(BIN)/python tests/chaos/soak.py $(CHAOS_ARGS)

fuzz: $(VENV)/.test
	$(BIN)/python tests/chaos/mutated_messages.py $(CHAOS_ARGS)

# The figures that docs/late-labels.md quotes are printed too, and kept beside the pictures.
pictures: $(VENV)/.docs
	$(BIN)/python docs/pictures/draw.py
	$(BIN)/python docs/pictures/house.py

# Of the tests' own traffic; needs a Chromium.
page-pictures: $(VENV)/.test
	AFTCAST_PICTURES=docs/pictures $(BIN)/pytest -q -m browser -k everybody tests/page

dashboards: $(VENV)/.demo
	$(BIN)/python -m aftcast.dashboards docker/grafana/dashboards
	$(BIN)/python docker/write_prometheus_rule.py

docs: docs-links
	$(BIN)/zensical build --clean

docs-links: $(VENV)/.docs
	$(BIN)/python -m aftcast.reference.links

reference: $(VENV)/.docs
	$(BIN)/python -m aftcast.reference

secrets:
	@$(PYTHON) docker/make_secrets.py

# In an environment of its own: what audits must not change what is audited.
$(VENV)/audit/.ready: $(VENV)/.demo
	@test -x $(VENV)/audit/bin/python || $(PYTHON) -m venv $(VENV)/audit
	@$(VENV)/audit/bin/pip install --quiet --disable-pip-version-check "pip-audit>=2.9,<3" "cyclonedx-bom>=7,<8"
	@touch $@

audit: $(VENV)/audit/.ready
	@$(VENV)/audit/bin/pip-audit --path "$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')" \
	  --format json --progress-spinner off 2>/dev/null | $(BIN)/python tests/security/audit_report.py

sbom: $(VENV)/audit/.ready
	@$(VENV)/audit/bin/cyclonedx-py environment $(BIN)/python --output-file sbom.json
	@echo "sbom.json written"

clean:
	rm -rf $(VENV) site .cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
