# Somebody who types what a section of a document says, with nothing else on the machine: in namespaces of its own for
# users, processes, mounts and the network, so that default ports and paths like /var/lib/mneme are free.
#
#   unshare --map-root-user --net --mount --pid --fork --mount-proc --kill-child bash reader.sh FOLDER PROGRAMS SECTION
#
# FOLDER: empty. PROGRAMS: where ours are. SECTION: the commands.
#
# A server that is told its name by --node runs on a machine of that name, the others here. Servers go on in the
# background, as in another terminal; who asks one waits until all are ready.
set -eEuo pipefail

world=$1 programs=$2 section=$3
mkdir -p "$world/here" "$world/machines" "$world/log"
servers=()

mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /var/lib
printf '127.0.0.1 localhost store.example.org %s\n' "$(uname -n)" >"$world/hosts"
mount --bind "$world/hosts" /etc/hosts
mkdir -p /run/netns
ip link set lo up
ip link add machines type bridge
ip address add 10.1.0.1/24 dev machines
ip link set machines up

# A machine of this name, unless there is one.
machine() {
  local name=$1 number
  [ ! -d "$world/machines/$name" ] || return 0
  number=$(($(find "$world/machines" -mindepth 1 -maxdepth 1 | wc -l) + 2))
  mkdir "$world/machines/$name"
  echo "10.1.0.$number $name" >>"$world/hosts"
  ip netns add "m$number"
  ln -s "/run/netns/m$number" "/run/netns/of-$name"
  ip link add "v$number" type veth peer name eth0 netns "m$number"
  ip link set "v$number" master machines up
  nsenter --net="/run/netns/m$number" ip link set lo up
  nsenter --net="/run/netns/m$number" ip address add "10.1.0.$number/24" dev eth0
  nsenter --net="/run/netns/m$number" ip link set eth0 up
}

server() {
  local program=$1 name='' arguments=("${@:2}") at log folder=$world/here inside=()
  case " $* " in *" --help "* | *" --version "* | *" --healthcheck "*)
    "$programs/$program" "${arguments[@]}"
    return
    ;;
  esac
  for at in "${!arguments[@]}"; do
    [ "${arguments[at]}" != --node ] || name=${arguments[at + 1]}
  done
  if [ -n "$name" ]; then
    machine "$name"
    folder=$world/machines/$name
    inside=(nsenter --net="/run/netns/of-$name")
    # What a reader on that machine has in the folder where he is.
    [ -e "$world/here/mneme-data" ] || ln -s "$folder/mneme-data" "$world/here/mneme-data"
  fi
  log=$world/log/${#servers[@]}
  (cd "$folder" && exec "${inside[@]}" "$programs/$program" "${arguments[@]}") >"$log" 2>"$log.err" &
  servers+=("$!:$log:$*")
}

# Until all servers are ready.
ready() {
  local server pid log what
  for server in "${servers[@]}"; do
    IFS=: read -r pid log what <<<"$server"
    for _ in $(seq 600); do
      ! grep -q '^ready ' "$log" || continue 2
      kill -0 "$pid" 2>/dev/null || break
      sleep 0.1
    done
    echo "not ready: $what" >&2
    tail -n 20 "$log" "$log.err" >&2
    return 1
  done
}

# The password that the first server printed.
printed() {
  ready
  sed -n 's/^.*password.*: *//p' "$world/log/0" | head -n 1
}

mneme-core() { server mneme-core "$@"; }
mneme-keeper() { server mneme-keeper "$@"; }
mneme-cli() { ready && "$programs/mneme-cli" "$@"; }
mneme-bench() { ready && "$programs/mneme-bench" "$@"; }
redis-cli() { ready && command redis-cli "$@"; }

# Says which line of the section failed, whatever it called.
failed() {
  local depth
  for depth in "${!FUNCNAME[@]}"; do
    [ "${FUNCNAME[depth]}" != source ] || break
  done
  echo "it fails at: $(sed -n "${BASH_LINENO[depth - 1]}p" "$section") ($1)" >&2
}

# Programs of the source tree, built already.
cargo() {
  local program=
  [ "$1" = run ] || return 1
  while [ $# -gt 0 ] && [ "$1" != -- ]; do
    [ "$1" != --bin ] || program=$2
    shift
  done
  [ $# -eq 0 ] || shift
  "$program" "$@"
}

cd "$world/here"
# What a reader of `mneme-cli` has on his machine.
export HOME=$world/here
trap 'failed "$BASH_COMMAND"' ERR
# shellcheck disable=SC1090
. "$section"
# Those that are still starting are looked at too.
ready
