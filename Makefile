# Everything a developer does with this tree. `make help` lists the targets.
SHELL    := /bin/bash -o pipefail
VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
BINARY   := bin/redkeep
CORE     := ./acl/... ./glob/... ./rdb/... ./migrate/... ./certs/... ./resp/... ./mvcc/... ./lease/... ./locks/... ./pubsub/... ./cluster/... ./raftfsm/... ./script/... ./commands/... \
	./client/... ./cmd/...
FUZZTIME ?= 20s
ARGS     ?=

.DEFAULT_GOAL := help
.PHONY: help build run cluster test race fuzz soak bench docs

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## build bin/redkeep
	@CGO_ENABLED=0 go build -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o $(BINARY) ./cmd/redkeep

run: build ## build and start a durable single node; ARGS="--flag …" for the server
	@exec $(BINARY) server $(ARGS)

cluster: build ## build and start three local nodes on ports 6379, 6380 and 6381; Ctrl-C stops them
	@bash -c "$$CLUSTER" cluster $(ARGS)

test: ## set up, then lint and run every test; with CI=true the core packages also under the race detector
	@.ci/setup redis-server:redis-server redis-cli:redis-tools redis-benchmark:redis-tools \
		etcd:etcd-server etcdctl:etcd-client /usr/lib/python3/dist-packages/redis:python3-redis node:nodejs npm:npm
	@.ci/modules tests/discovery/testdata/ioredis
	@unformatted="$$(gofmt -l $$(git ls-files -co --exclude-standard '*.go'))"; \
		if [ -n "$$unformatted" ]; then echo "not formatted by gofmt:"; echo "$$unformatted"; exit 1; fi
	@go vet ./... && cd tests/bench && go vet ./...
	@go test -json -timeout 15m ./... | go run ./.ci/summary
	@if [ "$$CI" = true ]; then echo; echo "core packages under the race detector:"; $(MAKE) --no-print-directory race; fi

race: ## test the core packages under the race detector
	@go test -race -json -short -timeout 15m $(CORE) | go run ./.ci/summary

fuzz: ## run every fuzz target for FUZZTIME (20s)
	@for dir in $$(go list -f '{{.Dir}}' ./...); do \
		for target in $$(cd $$dir && grep -ho '^func Fuzz[A-Za-z0-9_]*' *_test.go 2>/dev/null | cut -c6-); do \
			echo "$$target in $${dir#$$PWD/}"; \
			(cd $$dir && go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) .) || exit 1; \
		done; done

soak: ## faults and load for half an hour, with plot and report; ARGS="-soak 5m -seed 7 -record"
	@go test -c -o bin/faults.test ./tests/faults
	@cd tests/faults && exec ../../bin/faults.test -test.run '^TestSoak$$' -test.timeout 0 -soak 30m $(ARGS)

bench: build ## measure beside etcd and Redis and write docs/BENCHMARKS.md
	@.ci/setup redis-server:redis-server redis-cli:redis-tools etcd:etcd-server
	@cd tests/bench && go run . $(ARGS)

docs: build ## write docs/COMMANDS.md from the command table
	@mkdir -p docs && $(BINARY) docs >docs/COMMANDS.md.part && mv docs/COMMANDS.md.part docs/COMMANDS.md

# Each node is a job with a process group of its own, so that Ctrl-C reaches this script alone and the nodes get one
# signal, not two: the second would end them at once.
define CLUSTER
set -m
dir=redkeep.cluster
mkdir -p $$dir
pids=()
stop() { trap - INT TERM EXIT; echo; echo "stopping"; exec 2>/dev/null; kill -TERM "$${pids[@]}"; wait; exit "$${1:-0}"; }
trap 'stop 0' INT TERM
trap 'stop 1' EXIT
list=n1=127.0.0.1:16379,n2=127.0.0.1:16380,n3=127.0.0.1:16381
for i in 1 2 3; do
	$(BINARY) server --name n$$i --data-dir $$dir/n$$i --client-addr 127.0.0.1:$$((6378 + i)) \
		--peer-addr 127.0.0.1:$$((16378 + i)) --http-addr 127.0.0.1:$$((8378 + i)) --initial-cluster $$list "$$@" \
		</dev/null >$$dir/n$$i.out 2>$$dir/n$$i.log &
	pids+=($$!)
done
for i in 1 2 3; do
	until grep -q "Ready to accept connections" $$dir/n$$i.out; do
		if ! kill -0 "$${pids[$$((i - 1))]}" 2>/dev/null; then
			echo "node n$$i did not start:"; tail -n 5 $$dir/n$$i.log; exit 1
		fi
		sleep 0.1
	done
	grep "Ready to accept connections" $$dir/n$$i.out
done
cat <<END

Any node takes any command. Try it from another terminal:
  $(BINARY) --endpoints 127.0.0.1:6379,127.0.0.1:6380,127.0.0.1:6381 member list
  $(BINARY) endpoint status -w table --cluster
  redis-cli -p 6380 SET foo "Hello World!"
  redis-cli -p 6381 GET foo
Logs and data are in $$dir. Ctrl-C stops all three.
END
for left in 2 1 0; do
	wait -n || true
	echo "a node ended; $$left still running, see $$dir/n?.log"
done
endef
export CLUSTER
