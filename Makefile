# make demo   environment, models, and a run on a real recording of two people
# make test   the whole suite: style, types, every test
# make windows   the tests under Windows' own Python, on Linux with wine, those of torch too (over 1 GB, built once)
# make windows-quick   those of what is different on Windows (half a GB, some minutes)
# make test-pythons   the unit tests without torch on the other versions of Python that are found
# make test-avx2   the tests of what engines compute once more, as an x86 CPU without AVX-512 and VNNI computes
# make env    the environment alone, in .venv
# make fish   the environment of fish-speech, outside .venv (over 1 GB; needs Python 3.11 or 3.12)
# make gpu    the fish engine on this machine's GPU, checked and measured (within eight minutes)
# make docs   docs/cli.md, from the help of every verb;  make pictures   those of the README, from a real run
# Each can be stopped and started again; what is there already is kept.

PYTHON ?= $(firstword $(foreach name,python3.11 python3.12 python3.13 python3,$(shell command -v $(name) 2>/dev/null)))
PINS := requirements-ui.txt requirements-ray.txt requirements-dev.txt
BIN := .venv/bin
# Without restarts: after one, files that were begun are handed out again empty, and pytest-xdist 3.8 waits for ever.
PYTEST := $(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder --max-worker-restart 0 --durations 30
# Files with tests of what engines and models compute; the others only use them.
NUMERICAL = $(shell grep -lr --include='test_*.py' 'mark\.numerical' tests)
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export OMP_WAIT_POLICY := PASSIVE
export PYANNOTE_METRICS_ENABLED := false
# Where it is set, each of the hundreds of commands under test compiles its sources anew: a fifth of a short run.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: demo env fish models check test suite suite-avx2 test-avx2 test-pythons windows windows-quick gpu docs pictures clean

demo: env
	@echo "== demo: the models, about 400 MB, and a 30 s recording of two people, spoken again (about a minute)"
	$(BIN)/voiceclone demo --out demo-out/sample
	@echo "== done: open demo-out/sample/report.html, or listen to demo-out/sample/mix.wav"

env: .venv/.complete

# Written last, so that an environment that was cut short is taken up again.
.venv/.complete: $(PINS) pyproject.toml
	@echo "== environment: .venv with $(PYTHON) (some minutes, about 2 GB)"
	@test -n "$(PYTHON)" || { echo "Python 3.11 to 3.13 is needed: install it, or name it with PYTHON=..."; exit 1; }
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v <= (3, 13) else "Python 3.11 to 3.13 is needed, this is %d.%d; name another with PYTHON=..." % v)'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install $(addprefix -r ,$(PINS))
	$(BIN)/python -m pip install --no-deps --no-build-isolation --editable .
	@touch $@

fish: env
	@echo "== fish: the environment of fish-speech (a minute or more, built once)"
	$(BIN)/voiceclone env create

models: env
	@echo "== models: the embedded ones, about 400 MB, fetched once"
	$(BIN)/voiceclone models pull

check: env
	@echo "== style and types"
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	for platform in linux win32 darwin; do $(BIN)/mypy --platform $$platform || exit 1; done

test: check models fish
	$(MAKE) suite

test-avx2: models fish
	$(MAKE) suite-avx2

# Without what comes before: .ci/run does that beside other things.
suite:
	@echo "== tests: all of them, the real engines too"
	$(PYTEST)

suite-avx2:
	@echo "== tests of engines, held to AVX2"
	ONEDNN_MAX_CPU_ISA=AVX2 ATEN_CPU_CAPABILITY=avx2 CT2_FORCE_CPU_ISA=AVX2 \
		$(PYTEST) -m numerical $(NUMERICAL)

gpu: fish
	$(BIN)/python -m benchmarks.gpu

windows: env
	$(BIN)/python tests/windows/harness.py build full
	$(BIN)/python tests/windows/harness.py check

windows-quick: env
	$(BIN)/python tests/windows/harness.py build
	$(BIN)/python tests/windows/harness.py check quick

test-pythons: env
	$(BIN)/python tests/other_pythons.py

docs: env
	$(BIN)/python docs/making/cli_reference.py

pictures: models
	$(BIN)/python docs/making/pictures.py

clean:
	rm -rf .venv dist demo-out .pytest_cache .mypy_cache .ruff_cache
