# One environment per project: `make demo` and `make test` make it when it is missing or out of date.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
ENVIRONMENT := $(VENV)/.complete

# One thread per process: workers share the cores, and a thread pool in each of them only slows all down.
export OMP_NUM_THREADS := 1
export MKL_NUM_THREADS := 1
export OPENBLAS_NUM_THREADS := 1

.PHONY: demo test lint reference-jets reference-tagger pretrained study benchmark-simulation unpinned clean

demo: $(ENVIRONMENT)  ## simulate, train, process, compare: ends with a table and demo/report.html
	$(BIN)/advtag demo --out demo

test: lint  ## everything that must hold: style, types, tests
	$(BIN)/python -m pytest

.PHONY: test-batch
test-batch: $(ENVIRONMENT)  ## jobs on a real HTCondor and a real SLURM, brought up here: Debian 12, as root
	ADVTAG_POOLS=required $(BIN)/python -m pytest tests/condor

lint: $(ENVIRONMENT)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

benchmark-simulation: $(ENVIRONMENT)  ## events per second, memory, the cost of options; on an idle machine
	$(BIN)/python -m benchmarks.simulation

$(ENVIRONMENT): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV) || { echo "python3 -m venv failed: on Debian, apt-get install python3-venv"; exit 1; }
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[train,sim,fit,dev]'
	touch $@

REFERENCE := build/reference_tagger

reference-jets: $(ENVIRONMENT)  # simulated jets to train on: 30 000 multijet and 20 000 top-pair events
	$(BIN)/advtag simulate qcd --events 30000 --seed 101 --out $(REFERENCE)/qcd_mc.root
	$(BIN)/advtag simulate tt --events 20000 --seed 101 --out $(REFERENCE)/tt_mc.root
	$(BIN)/advtag prepare configs/reference_prepare.yaml

reference-tagger: reference-jets  ## the tagger whose scores simulated files hold, again from nothing: docs/reference_tagger.md
	$(BIN)/advtag train configs/reference_train.yaml
	$(BIN)/advtag evaluate $(REFERENCE)/run --data $(REFERENCE)/jets --epochs 30 --out $(REFERENCE)/evaluation
	cp $(REFERENCE)/run/epoch_030_tagger.onnx simulation/reference_tagger.onnx

STUDY := build/study

pretrained: reference-jets  ## the taggers that come with the package, again from nothing: models/pretrained/README.md
	rm -rf $(STUDY)
	for name in basic adversarial; do \
	  $(BIN)/advtag train configs/study/$$name.yaml && mkdir -p models/pretrained/$$name && \
	  for epoch in 001 005 020; do cp $(STUDY)/$$name/epoch_$${epoch}_*.onnx models/pretrained/$$name/ || exit 1; done || exit 1; \
	done

study: pretrained  ## the thesis's phenomena on simulated events: the table of docs/evaluation.md
	$(BIN)/advtag prepare configs/study/prepare_flat.yaml
	for name in gamma_25 gamma_2 flat; do $(BIN)/advtag train configs/study/$$name.yaml || exit 1; done
	$(BIN)/advtag evaluate $(STUDY)/basic $(STUDY)/adversarial $(STUDY)/gamma_25 $(STUDY)/gamma_2 $(STUDY)/flat \
	  --data $(REFERENCE)/jets --studies thesis,transfer,auc_epochs,trainings --epochs 1,2,5,10,15,20 \
	  --variants raw,noise:0.1,noise:0.5,noise:1,fgsm:0.05,fgsm:0.1,fgsm:0.5,fgsm:1 --out $(STUDY)/evaluation

.PHONY: defences
defences: $(ENVIRONMENT)  ## twenty-one ways to train at equal performance: docs/defences.md; many hours on two cores
	$(BIN)/advtag study configs/defences.yaml

unpinned:  ## the documented check against the newest versions of everything but torch and PYTHIA
	$(PYTHON) -m venv .venv-unpinned
	grep -E '^(torch|pythia8mc)==' constraints.txt > .venv-unpinned/kept.txt
	.venv-unpinned/bin/pip install --quiet --constraint .venv-unpinned/kept.txt --editable '.[train,sim,fit,dev]'
	.venv-unpinned/bin/python -m pytest

clean:
	rm -rf $(VENV) .venv-unpinned dist
