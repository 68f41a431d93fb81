#!/bin/sh
# Prints the secrets of Redis and its two clients, for the cluster:
#
#   sh deploy/kubernetes/make-secrets.sh | kubectl apply -f -
#
# Makes new random passwords at each call, so do not call it again while the stack runs, except to
# change them (docs/operations.md, "Rotate passwords"). Do not keep what it prints.
set -eu

[ ! -t 1 ] || { echo "the passwords are not for the screen: pipe this into kubectl apply -f -" >&2; exit 64; }

password() { head -c 32 /dev/urandom | od -An -v -tx1 | tr -d ' \n'; }
hash_of() { printf %s "$1" | sha256sum | cut -d ' ' -f 1; }

poller=$(password)
server=$(password)
redis=$(password)
sentinel=$(password)
at="ghibli-redis.ghibli-redis:26379/ghibli?sentinel_password=$sentinel"

# Replicas, sentinels and the health checks log in as `default`.
cat <<EOF
apiVersion: v1
kind: Namespace
metadata:
  name: ghibli-redis
---
apiVersion: v1
kind: Secret
metadata:
  name: redis
  namespace: ghibli-redis
type: Opaque
stringData:
  auth: $redis
  sentinel-password: $sentinel
  users.acl: |
    user default reset on #$(hash_of "$redis") ~* &* +@all
    user poller reset on #$(hash_of "$poller") ~{ghibli}:* ~{ghibli-drill}:* &{ghibli}:changed &{ghibli-drill}:changed +ping +get +getrange +set +del +lpush +ltrim +lrange +publish +subscribe +evalsha +script|load
    user server reset on #$(hash_of "$server") %R~{ghibli}:* &{ghibli}:changed +ping +get +subscribe
---
apiVersion: v1
kind: Namespace
metadata:
  name: ghibli
  labels:
    pod-security.kubernetes.io/enforce: restricted
---
apiVersion: v1
kind: Secret
metadata:
  name: cache
  namespace: ghibli
type: Opaque
stringData:
  poller-url: redis+sentinel://poller:$poller@$at
  server-url: redis+sentinel://server:$server@$at
EOF
