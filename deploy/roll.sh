#!/bin/sh
# Replaces every reader by a new one, without a failed request:
#
#   sh deploy/roll.sh            restart: the same image, today's environment and settings
#   sh deploy/roll.sh --build    upgrade: builds first; afterwards replaces poller and fallback too
#
# Starts as many new readers as there are healthy ones. When all new readers are healthy, stops the
# old ones, one after the other; each first finishes its requests. If new readers do not become
# healthy, removes them and ends with 1; the old ones keep serving.
#
# Replaces the readers first: they read what an older poller stored, but an older reader may not read
# what a newer poller stores.
#
# Does not touch Redis or Traefik: the labels of the readers work behind an older Traefik too. Works
# with Compose 1.29 and 2; COMPOSE_FILE and COMPOSE_PROJECT_NAME select the stack, as always.
set -eu
cd "$(dirname "$0")/.."

# How long new readers may take, in seconds. With a catalogue, one is healthy after 5 to 10.
TIME_LIMIT=90

# Longer than the 2 s for which Traefik collects changes of containers before it acts on them.
NOTICE=5

say() { echo "roll: $*"; }
fail() { echo "roll: $*" >&2 && exit 1; }

case "${1-}" in
'') build=no ;;
--build) build=yes ;;
*) sed -n '2,5p' "$0" >&2 && exit 64 ;;
esac

if docker compose version >/dev/null 2>&1; then
    compose() { docker compose "$@"; }
else
    # Compose 1.29 uses BuildKit, which the Dockerfile needs, only with these variables.
    export DOCKER_BUILDKIT=1 COMPOSE_DOCKER_CLI_BUILD=1
    compose() { docker-compose "$@"; }
fi

# Prints the readers' containers, also those that do not run.
readers() {
    for id in $(compose ps --all --quiet server); do
        [ "$(docker inspect --format '{{index .Config.Labels "com.docker.compose.oneoff"}}' "$id")" = True ] || echo "$id"
    done
}

count() { echo $#; }

is_healthy() { # CONTAINER
    [ "$(docker inspect --format '{{.State.Health.Status}}' "$1")" = healthy ]
}

# Whether Docker has restarted it several times, or it fails its health checks.
is_broken() { # CONTAINER
    case "$(docker inspect --format '{{.RestartCount}} {{.State.Health.Status}}' "$1")" in
    [012]' healthy' | [012]' starting') return 1 ;;
    esac
}

# Prints the readers that did not exist at the start.
new_readers() {
    for id in $(readers); do
        case " $old " in *" $id "*) ;; *) echo "$id" ;; esac
    done
}

# Removes the new readers.
give_up() {
    trap - EXIT INT TERM
    for id in $(new_readers); do
        docker logs --tail 3 "$id" 2>&1 | sed 's/^/    /' >&2
        docker rm --force "$id" >/dev/null
    done
    fail "$1; the new readers are removed, the old ones serve as before"
}

old=$(echo $(readers))
wanted=0
for id in $old; do
    if is_healthy "$id"; then wanted=$((wanted + 1)); fi
done
[ "$wanted" -gt 0 ] || fail "no reader is healthy, so there is nothing to replace: use \`up -d\`"

if [ "$build" = yes ]; then
    say "building"
    # The commit that `--version` shows, where this is a checkout.
    : "${GHIBLI_COMMIT=$(git rev-parse --short=7 HEAD 2>/dev/null || true)}"
    export GHIBLI_COMMIT
    compose build poller server || fail "the images do not build; nothing was changed"
fi

trap 'give_up "ended early"' EXIT INT TERM
say "starting $wanted new readers beside the old ones"
compose up --detach --no-deps --no-build --no-recreate \
    --scale server=$(($(count $old) + wanted)) server || give_up "new readers do not start"
new=$(echo $(new_readers))
[ "$(count $new)" -ge "$wanted" ] || give_up "only $(count $new) of $wanted new readers were made"

waited=0
for id in $new; do
    until is_healthy "$id"; do
        if is_broken "$id" || [ "$waited" -ge "$TIME_LIMIT" ]; then
            give_up "a new reader is not healthy after $waited s"
        fi
        sleep 1
        waited=$((waited + 1))
    done
done
say "the new readers are healthy; giving Traefik $NOTICE s to find them"
sleep "$NOTICE"

# From here on the new readers stay.
trap - EXIT INT TERM
for id in $old; do
    say "stopping the old reader $(docker inspect --format '{{.Name}}' "$id" | tr -d /)"
    docker stop -t 15 "$id" >/dev/null
    docker rm "$id" >/dev/null
done

if [ "$build" = yes ]; then
    say "replacing poller and fallback"
    compose up --detach --no-deps --no-build poller fallback
fi
say "done: $wanted new readers serve; Redis and Traefik run on, with their old settings"
