#!/usr/bin/env bash
# cluster.sh: a Kubernetes cluster that has the images of a deployment: the one of KUBECONFIG, else one of our own, whose
# KIT_CLUSTER_MACHINES (3 where there are 12 GiB of memory, else 1) are containers of the Docker engine. Prints the path of
# its kubeconfig. `cluster.sh down` removes our own one; `cluster.sh build` builds what it consists of and starts nothing.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
name=redis-session-kit-cluster
kubeconfig=$KIT_CACHE/cluster/kubeconfig
port=${KIT_CLUSTER_PORT:-36443}
enough() { awk '$1 == "MemTotal:" { exit $2 < 12 * 1024 * 1024 }' /proc/meminfo 2>/dev/null; }
mapfile -t numbers < <(seq "${KIT_CLUSTER_MACHINES:-$(enough && echo 3 || echo 1)}")
machine=redis-session-kit/cluster-machine:$({ cat "$CHECKOUT/ci/cluster/machine.sh"; echo "$STAND_IN_DEBIAN"; } | sha256 | head -c 12)
pause=redis-session-kit/pause:1
# Docker's --privileged asks for more than some machines have.
privileges=(CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE
  NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_CHROOT SYS_PTRACE SYS_ADMIN SYS_NICE MKNOD LEASE AUDIT_WRITE
  SETFCAP SYSLOG)

wait_until() { # wait_until SECONDS WHAT COMMAND...
  local until=$((SECONDS + $1)) what=$2
  shift 2
  until "$@" >/dev/null 2>&1; do
    ((SECONDS < until)) || die "not in time: $what" "the programs' logs: docker exec $name tail -n 20 /var/log/kubelet.log (or another)"
    sleep 0.3
  done
}

build_programs() {
  local version="-X k8s.io/component-base/version.gitVersion=$KUBERNETES_VERSION -X k8s.io/component-base/version.gitMajor=1"
  local minor=${KUBERNETES_VERSION#v1.} each
  cd "$CHECKOUT/ci/tools/kubernetes"
  go_build "$1/kubernetes" . "$version" -X "k8s.io/component-base/version.gitMinor=${minor%.*}"
  for each in kube-apiserver kube-controller-manager kube-scheduler kube-proxy kubelet kubectl; do ln -s kubernetes "$1/$each"; done
  mkdir "$1/bin" # what belongs on the PATH
  ln -s ../kubernetes "$1/bin/kubectl"
  cd "$CHECKOUT/ci/tools/cluster-network"
  for each in ./coredns ./pause github.com/containernetworking/plugins/plugins/{ipam/host-local,main/loopback,main/ptp}; do
    go_build "$1/${each##*/}" "$each"
  done
}

import() { tar -C "$1" --numeric-owner --exclude='./dev/*' -c "${@:4}" . | docker import --change "$3" - "$2"; }

build_machine() {
  local tree=$KIT_CACHE/cluster-machine.partial
  ! docker image inspect "$machine" >/dev/null 2>&1 || return 0
  root_on_debian || die "to make a cluster, this must run as root on Debian or Ubuntu" \
    "set KUBECONFIG to a cluster for tests (kind, minikube, ...)"
  has debootstrap || step "installing debootstrap" debian_packages debootstrap debian-archive-keyring
  rm -rf --one-file-system "$tree"
  mkdir -p "$tree"
  step "installing Debian $STAND_IN_DEBIAN packages for the cluster's machine" unshare --mount "$CHECKOUT/ci/cluster/machine.sh" "$tree"
  step "importing them into the engine" import "$tree" "$machine" 'CMD ["bash", "/opt/start.sh"]'
  rm -rf --one-file-system "$tree"
}

build_pause() {
  local tree
  ! docker image inspect "$pause" >/dev/null 2>&1 || return 0
  tree=$(mktemp -d)
  cp "$KIT_KUBERNETES/pause" "$tree/"
  import "$tree" "$pause" 'ENTRYPOINT ["/pause"]' >/dev/null
  rm -r "$tree"
}

build() {
  if [ ! -e "$KIT_KUBERNETES" ]; then
    say "no cluster is given by KUBECONFIG: building Kubernetes $KUBERNETES_VERSION from its Go module into $KIT_KUBERNETES"
    need_go "set KUBECONFIG to a cluster for tests (kind, minikube, ...)"
    put_in_place "$KIT_KUBERNETES" step "building Kubernetes $KUBERNETES_VERSION (minutes on a small machine)" build_programs
  fi
  build_machine
  build_pause
}

container() { [ "$1" = 1 ] && echo "$name" || echo "$name-$1"; } # container NUMBER: of that machine

start_machine() { # start_machine NUMBER OPTION...
  local each options=() number=$1
  shift
  for each in "${privileges[@]}"; do options+=(--cap-add "$each"); done
  for each in containerd kubelet etcd; do options+=(--volume "/var/lib/$each"); done
  docker run --detach --init --name "$(container "$number")" --hostname "machine-$number" --network "$name" \
    --network-alias "machine-$number" --label redis-session-kit.cluster-machine --security-opt seccomp=unconfined \
    --security-opt systempaths=unconfined --security-opt apparmor=unconfined --device /dev/kmsg \
    --device-cgroup-rule 'a *:* rwm' --cgroupns private --tmpfs /run \
    --env "MACHINES=${numbers[*]}" --env "PUBLISHED_PORT=$port" --volume "$name:/tmp/hostpath_pv" \
    --volume "$KIT_KUBERNETES:/opt/kubernetes:ro" --volume "$CHECKOUT/ci/cluster/start.sh:/opt/start.sh:ro" \
    "${options[@]}" "$@" "$machine" >/dev/null
}

start() {
  local number
  remove
  docker network create "$name" >/dev/null
  docker volume create "$name" >/dev/null # a disk that every machine reaches, for the pods' volumes
  start_machine 1 --publish "127.0.0.1:$port:6443"
  for number in "${numbers[@]:1}"; do start_machine "$number"; done
  wait_until 30 "keys are made" docker exec "$name" test -e /run/kubernetes/published.conf
  for number in "${numbers[@]:1}"; do
    docker exec "$name" cat /run/kubernetes/admin.conf |
      docker exec --interactive "$(container "$number")" sh -c 'umask 077; cat >/run/joining; mv /run/joining /run/kubernetes/admin.conf'
  done
  mkdir -p "${kubeconfig%/*}"
  (umask 077 && docker exec "$name" cat /run/kubernetes/published.conf >"$kubeconfig")
}

remove() {
  docker ps --all --quiet --filter "network=$name" | xargs -r docker rm --force --volumes >/dev/null
  docker network rm "$name" >/dev/null 2>&1 || :
  docker volume rm "$name" >/dev/null 2>&1 || :
}

# The images of a deployment, as the engine has them now, on a machine: together, since they share most of what they consist of.
load() {
  local image id into missing=() loaded=
  into=$(container "$1")
  for image in "$pause" redis:8 oliver006/redis_exporter:v1.69.0 "$(sed -n 's/^    image: Image = "\(redis-session-kit\/.*\)"/\1/p' "$CHECKOUT/infra/service.py")"; do
    id=$(docker image inspect -f '{{.Id}}' "$image") || die "the image $image is missing" "run: make tools"
    docker exec "$into" grep -qsx "$image $id" /var/lib/containerd/loaded && continue
    missing+=("$image") loaded+="$image $id"$'\n'
  done
  ((${#missing[@]})) || return 0
  docker save "${missing[@]}" | docker exec --interactive "$into" ctr --namespace k8s.io images import - >/dev/null
  docker exec --interactive "$into" sh -c 'cat >>/var/lib/containerd/loaded' <<<"${loaded%$'\n'}"
}

node_is_ready() { kubectl get node "machine-$1" -o 'jsonpath={.status.conditions[?(@.type=="Ready")].status}' | grep -qx True; }

up() {
  local began=$SECONDS number
  if ! docker exec "$(container "${numbers[-1]}")" true 2>/dev/null; then
    say "starting Kubernetes $KUBERNETES_VERSION in the container $name"
    build
    start
  fi
  export KUBECONFIG=$kubeconfig
  wait_until 60 "the API server answers" kubectl get --raw /readyz
  for number in "${numbers[@]}"; do
    load "$number"
    wait_until 60 "machine-$number of the cluster is ready" node_is_ready "$number"
  done
  wait_until 30 "the namespace default has its account" kubectl --namespace default get serviceaccount default
  say "the cluster is ready after $((SECONDS - began)) s: export KUBECONFIG=$kubeconfig"
}

down() {
  remove
  rm -rf "$KIT_CACHE/cluster"
  say "the cluster is gone; what it was built from stays in $KIT_KUBERNETES and in the image $machine"
}

given() {
  has kubectl || die "KUBECONFIG is set, but there is no kubectl on the PATH"
  kubectl get --raw /readyz >/dev/null || die "the cluster of KUBECONFIG=$KUBECONFIG does not answer" "unset KUBECONFIG for one of our own"
  say "using the cluster of KUBECONFIG=$KUBECONFIG; the images have to be there: docs/kubernetes.md"
  echo "$KUBECONFIG"
}

case ${1:-up} in
  down) down ;;
  build) [ -n "${KUBECONFIG:-}" ] || locked cluster build ;;
  up)
    if [ -n "${KUBECONFIG:-}" ] && [ "$KUBECONFIG" != "$kubeconfig" ]; then
      given
    else
      locked cluster up
      echo "$kubeconfig"
    fi
    ;;
  *) die "cluster.sh [up | down | build]" ;;
esac
