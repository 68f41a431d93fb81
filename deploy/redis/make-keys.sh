#!/bin/sh
# Makes the credentials of Redis and its two clients, in the directory that is given:
#
#   poller-url   what the poller connects with    readable by group 65532, the poller's
#   server-url   what the readers connect with    readable by group 65533, the readers'
#   users.acl    who may do what, for Redis       holds hashes of the passwords only
#
# Runs before Redis, at each `up`. Makes passwords only once, at random, and never prints them.
# Writes the rules anew each time; Redis reads them when it starts. Needs no network and no
# privilege: a file's owner may give it to any of the owner's groups.
set -eu
umask 077
cd "$1"

# Replaces FILE by standard input, in one step; only its owner, and GROUP if given, can read it.
put() { # FILE [GROUP]
    cat >"$1.new"
    if [ $# -gt 1 ]; then
        chgrp "$2" "$1.new"
        chmod 0440 "$1.new"
    fi
    mv -f "$1.new" "$1"
}

url_for() { # USER GROUP
    [ -s "$1-url" ] && return
    password=$(head -c 32 /dev/urandom | od -An -v -tx1 | tr -d ' \n')
    echo "redis://$1:$password@redis:6379" | put "$1-url" "$2"
}

hash_for() { # USER
    password=$(sed 's/.*:\(.*\)@.*/\1/' "$1-url")
    printf %s "$password" | sha256sum | cut -d ' ' -f 1
}

url_for poller 65532
url_for server 65533

# Nobody can log in as `default`, because it is off. It has every right because Redis, when it
# starts, reads the append-only file as this user: without them it drops every commit
# (redis/redis#14541). `health` lets the health check work without a secret: it may only PING. `%R~`
# marks a key that may only be read.
put users.acl <<EOF
user default reset off ~* &* +@all
user health reset on nopass +ping
user poller reset on #$(hash_for poller) ~{ghibli}:* ~{ghibli-drill}:* &{ghibli}:changed &{ghibli-drill}:changed +ping +get +getrange +set +del +lpush +ltrim +lrange +publish +subscribe +evalsha +script|load
user server reset on #$(hash_for server) %R~{ghibli}:* &{ghibli}:changed +ping +get +subscribe
EOF
