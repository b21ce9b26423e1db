# The habits of this project. `just` lists them.

default:
    @just --list

# Everything that CI demands
check:
    ./scripts/test

# Format the code
fmt:
    cargo fmt --all

# Clippy, with warnings as errors
lint:
    ./scripts/test clippy sim-lint

# Unit tests, without the simulation
test *ARGS:
    cargo test --locked {{ARGS}}

# Seeded fault simulation: just sim 1000 --from 300
sim SEEDS="300" *ARGS:
    cargo sim run --seeds {{SEEDS}} {{ARGS}}

# Fresh seeds for a stated time, failures by cause, and a page of what came of it: just sim-night 30m
sim-night TIME="8h" *ARGS:
    cargo sim run --for {{TIME}} --fresh "$(git rev-parse HEAD)-$(date +%F-%T)" --keep-going --regressions --report target/sim-night.json {{ARGS}}; status=$?; \
        cargo sim report target/sim-night.json && exit $status

# Every record, block and manifest of a node's disk, damaged in every way
damage:
    cargo sim damage

# Kill the real server so often while clients write: just kill-test 50
kill-test ROUNDS="50":
    MNEME_KILL_ROUNDS={{ROUNDS}} cargo test --locked --package mneme-binaries --test kill -- --nocapture

# One seed again
replay SEED *ARGS:
    cargo sim replay {{SEED}} {{ARGS}}

# The fewest faults and commands with which a seed still fails
shrink SEED *ARGS:
    cargo sim shrink {{SEED}} {{ARGS}}

# Whether a seed decides everything, and whether the checks see mistakes
trust-sim:
    ./scripts/test sim-meta mutants

# The kernel without an operating system
kernel:
    ./scripts/test kernel

# The protocol's rules, explored exhaustively; how a mistake is caught: just model --explain keep-memory
model *ARGS:
    cargo run --locked --profile model --package mneme-model -- {{ARGS}}

# Bans, licences and sources of the dependencies
deny:
    ./scripts/deny

# Real clusters under real faults, each workload against each nemesis (root; about an hour): just jepsen --time 15 --workloads append
jepsen *ARGS:
    cargo build --locked --release
    cargo run --locked --release --package jepsen -- matrix --time 10 --rate 300 {{ARGS}}

# Whether the checks of real clusters find mistakes that are made on purpose (root)
jepsen-proof:
    ./scripts/jepsen-proof

# Load on a server: just bench -H 127.0.0.1:6379 --mix get=80,set=20 --duration 10
bench *ARGS:
    cargo run --locked --quiet --release --bin mneme-bench -- {{ARGS}}

# Compare with redis-server on this machine
bench-redis *ARGS:
    ./scripts/bench-redis {{ARGS}}

# What Mneme and redis-server keep when memory is full: just hit-ratio --only 'zipf allkeys-lru'
hit-ratio *ARGS:
    ./scripts/hit-ratio {{ARGS}}

# Kill the primary, a Keeper, all nodes, and hand over, while clients write: just failover kill-primary --rounds 50
failover *ARGS:
    ./scripts/failover {{ARGS}}

# Compare three nodes with three of etcd on this machine; --restart: how fast a Core is ready
bench-etcd *ARGS:
    ./scripts/bench-etcd {{ARGS}}

# The same random commands to Mneme and redis-server: just compare-redis --seed 7
compare-redis *ARGS:
    ./scripts/compare-redis {{ARGS}}

# Redis's own Tcl suite against a fresh node: just redis-suite type/string --only /SETRANGE
redis-suite *ARGS:
    ./scripts/redis-suite {{ARGS}}

# redis-py's own tests against a fresh node, in RESP2 and RESP3: just redis-py-suite test_commands.py --only geo
redis-py-suite *ARGS:
    ./scripts/redis-py-suite {{ARGS}}

# rq, Celery and the locks of two libraries against three nodes whose primary is killed twice: just applications rq
applications *ARGS:
    ./scripts/run-applications {{ARGS}}

# redis-cli, redis-py and redis-rs against a fresh node
clients:
    ./scripts/clients

# The static programs and the four container images from them
images:
    ./scripts/images

# Every profile of compose.yaml: just compose-test ha
compose-test *PROFILES:
    ./scripts/compose-test {{PROFILES}}

# Every page of the console in a real browser, and a failover watched there: just console-test --pictures /tmp/pictures
console-test *ARGS:
    ./scripts/console-test {{ARGS}}

# Alerts and their tests, by promtool
check-alerts:
    ./scripts/check-alerts

# A real Prometheus on three real nodes: every expression of alerts and dashboard is answered
check-monitoring *ARGS:
    ./scripts/check-monitoring {{ARGS}}

# Backups under load, from and to every topology, with digests compared
backup-drill *ARGS:
    ./scripts/backup-drill {{ARGS}}

# Black-box checks by number, where their folder lies beside this one
accept ISSUE *ARGS:
    ../shared/accept/run {{ISSUE}} {{ARGS}}
