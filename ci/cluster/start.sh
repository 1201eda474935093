#!/usr/bin/env bash
# Runs in each container that is a machine of the test cluster: what every machine has, and on the first one all that a
# cluster has once. A program that ends is started anew. /opt/kubernetes has the programs; /run/kubernetes gets keys, the
# token of the administrator, and its kubeconfig, which the others wait for.
set -euo pipefail
export PATH=/opt/kubernetes:$PATH
address=$(hostname -i | cut -d' ' -f1)
machine=$(hostname)
number=${machine##*-}
keys=/run/kubernetes
mkdir -p /etc/cni/net.d /etc/containerd /tmp/hostpath_pv
mkdir -m 0700 "$keys"

# A container's first process would be kept from all this by the read-only mounts that Docker makes.
mount --make-rshared /
for each in /proc/sys /sys; do ! mountpoint --quiet "$each" || mount -o remount,rw "$each"; done
for each in /sys/fs/cgroup /sys/fs/cgroup/*; do ! mountpoint --quiet "$each" || mount -o remount,rw,bind "$each"; done

# keep NAME COMMAND...: runs it, and again whenever it ends.
keep() {
  local name=$1
  shift
  while :; do
    "$@" >>"/var/log/$name.log" 2>&1 || :
    sleep 1
  done &
}

address_of() { getent hosts "machine-$1" | cut -d' ' -f1; }

kubeconfig() { # kubeconfig SERVER
  cat <<END
apiVersion: v1
kind: Config
current-context: redis-session-kit
contexts: [{name: redis-session-kit, context: {cluster: redis-session-kit, user: admin}}]
clusters: [{name: redis-session-kit, cluster: {server: "$1", certificate-authority-data: $(base64 -w0 "$keys/apiserver.crt")}}]
users: [{name: admin, user: {token: $(cut -d, -f1 "$keys/tokens.csv")}}]
END
}

cat >/etc/containerd/config.toml <<'END'
version = 2
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "docker.io/redis-session-kit/pause:1"
  restrict_oom_score_adj = true
  disable_apparmor = true
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      SystemdCgroup = false
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/opt/kubernetes"
    conf_dir = "/etc/cni/net.d"
END
cat >/etc/cni/net.d/10-pods.conflist <<END
{"cniVersion": "1.0.0", "name": "pods", "plugins": [{"type": "ptp", "ipMasq": true, "ipam": {"type": "host-local",
  "ranges": [[{"subnet": "10.244.0.0/16", "gateway": "10.244.$number.1",
    "rangeStart": "10.244.$number.2", "rangeEnd": "10.244.$number.254"}]], "routes": [{"dst": "0.0.0.0/0"}]}}]}
END
# Pods of another machine are behind it.
for each in $MACHINES; do
  [ "$each" = "$number" ] || { until ip route replace "10.244.$each.0/24" via "$(address_of "$each")" 2>/dev/null; do sleep 0.2; done; } &
done
keep containerd containerd

start_what_is_there_once() {
  keep etcd etcd --data-dir=/var/lib/etcd --unsafe-no-fsync --log-level=warn \
    --listen-client-urls=http://127.0.0.1:2379 --advertise-client-urls=http://127.0.0.1:2379

  openssl genrsa -out "$keys/accounts.key" 2048 2>/dev/null
  echo "$(openssl rand -hex 32),admin,admin,system:masters" >"$keys/tokens.csv"
  keep apiserver kube-apiserver --etcd-servers=http://127.0.0.1:2379 --cert-dir="$keys" --advertise-address="$address" \
    --token-auth-file="$keys/tokens.csv" --authorization-mode=RBAC --service-cluster-ip-range=10.96.0.0/16 \
    --service-account-issuer=https://kubernetes.default.svc --service-account-key-file="$keys/accounts.key" \
    --service-account-signing-key-file="$keys/accounts.key" --kubelet-preferred-address-types=InternalIP
  until [ -s "$keys/apiserver.crt" ]; do sleep 0.1; done
  kubeconfig "https://$address:6443" >"$keys/admin.conf"
  kubeconfig "https://localhost:$PUBLISHED_PORT" >"$keys/published.conf.partial"
  mv "$keys/published.conf.partial" "$keys/published.conf"
  until kubectl --kubeconfig "$keys/admin.conf" get --raw /readyz >/dev/null 2>&1; do sleep 0.2; done

  keep controllers kube-controller-manager --kubeconfig="$keys/admin.conf" --leader-elect=false \
    --root-ca-file="$keys/apiserver.crt" --service-account-private-key-file="$keys/accounts.key" \
    --enable-hostpath-provisioner=true
  keep scheduler kube-scheduler --kubeconfig="$keys/admin.conf" --leader-elect=false
  cat >"$keys/Corefile" <<END
.:53 {
  bind $address
  errors
  cache 5
  kubernetes cluster.local in-addr.arpa {
    kubeconfig $keys/admin.conf
  }
  forward . /etc/resolv.conf
}
END
  keep coredns coredns -conf "$keys/Corefile"
  kubectl --kubeconfig "$keys/admin.conf" apply -f - <<'END'
apiVersion: storage.k8s.io/v1
kind: StorageClass
metadata: {name: standard, annotations: {storageclass.kubernetes.io/is-default-class: "true"}}
provisioner: kubernetes.io/host-path
END
}

if [ "$number" = 1 ]; then start_what_is_there_once; else until [ -s "$keys/admin.conf" ]; do sleep 0.2; done; fi

cat >"$keys/kubelet.yaml" <<END
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication: {anonymous: {enabled: true}, webhook: {enabled: false}}
authorization: {mode: AlwaysAllow}
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
cgroupDriver: cgroupfs
failCgroupV1: false
failSwapOn: false
oomScoreAdj: 0
clusterDNS: ["$(address_of 1)"]
clusterDomain: cluster.local
imageGCHighThresholdPercent: 100
evictionHard: {memory.available: 0%, nodefs.available: 0%, nodefs.inodesFree: 0%, imagefs.available: 0%}
END
until ctr version >/dev/null 2>&1; do sleep 0.1; done
keep kubelet kubelet --config="$keys/kubelet.yaml" --kubeconfig="$keys/admin.conf" --hostname-override="$machine" --node-ip="$address"
keep proxy kube-proxy --kubeconfig="$keys/admin.conf" --hostname-override="$machine" --cluster-cidr=10.244.0.0/16 \
  --oom-score-adj=0 --conntrack-max-per-core=0
# The provisioner gives its directories to root, and a host path has no fsGroup.
while sleep 0.2; do chmod 0777 /tmp/hostpath_pv/* 2>/dev/null || :; done
