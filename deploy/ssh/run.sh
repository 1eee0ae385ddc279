#!/usr/bin/env bash
# Scheduler and client on this machine, workers on other hosts, started over SSH.
#
#   RUN=/shared/my-run deploy/ssh/run.sh deploy/ssh/hosts.txt JOB [OPTIONS of distdesc run]
#
# All hosts see the same folders: RUN (logs, certificates), the input and the store (or it is s3://).
# RUN: default ./distdesc-run. HOST: address of this machine that the hosts reach. ACTIVATE: what a
# host has to do first, such as ". venv/bin/activate"; taken in this directory. SCRATCH: folder on a
# disk of each host, default /tmp. SSH: default ssh.
set -euo pipefail
[ $# -ge 2 ] || { echo "usage: $0 HOSTS JOB [OPTIONS of distdesc run]" >&2; exit 2; }
hosts=$1; shift
[ -r "$hosts" ] || { echo "$0: no file of hosts: $hosts" >&2; exit 2; }
RUN=$(realpath -m "${RUN:-distdesc-run}")
HOST=${HOST:-$(hostname -I | awk '{ print $1 }')}
read -ra ssh <<<"${SSH:-ssh -o BatchMode=yes -o ConnectTimeout=10 -o ServerAliveInterval=15}"
mkdir -p "$RUN" && chmod 700 "$RUN"
[ -e "$RUN/tls" ] || distdesc certs "$RUN/tls"      # others on this network must not run code here
file=$RUN/scheduler.json
rm -f "$file"

# Ctrl-C reaches all processes of this session; the client has to go before the scheduler does.
setsid distdesc scheduler --host "$HOST" --port 0 --scheduler-file "$file" --tls "$RUN/tls" \
    >"$RUN/scheduler.log" 2>&1 &
scheduler=$!
# shellcheck disable=SC2317     # the trap calls it
finish() {  # workers leave when their scheduler does; those of a host that was lost do not hear of it
    trap '' INT TERM HUP
    rm -f "$file"
    kill "$scheduler" 2>/dev/null || true
    for ((s = 0; s < 20 && $(jobs -r | wc -l) > 0; s++)); do sleep 1; done
    jobs -p | xargs -r kill 2>/dev/null || true
    wait
}
trap finish EXIT
trap 'exit 130' INT TERM HUP
until [ -s "$file" ]; do
    kill -0 $scheduler 2>/dev/null || { cat "$RUN/scheduler.log" >&2; wait $scheduler || exit $?; exit 5; }
    sleep 0.2
done

on() {      # workers of a host, again after 10 s if it was lost, for as long as there is a scheduler
    local command code
    printf -v command '%q ' distdesc worker "$file" --local-directory "${SCRATCH:-/tmp}" --tls "$RUN/tls" \
        --name "$1" ${2:+--workers "$2"} ${3:+--memory "$3"}
    trap 'kill $! 2>/dev/null; exit' TERM
    while [ -e "$file" ]; do
        code=0
        "${ssh[@]}" "$1" "cd $(printf %q "$PWD") && ${ACTIVATE:-:} && exec $command" & wait $! || code=$?
        case $code in 2 | 6) echo "$1: given up, since another try would not help" >&2; return ;; esac
        [ ! -e "$file" ] || { sleep 10 & wait $!; }
    done
}
while read -r host workers memory _ || [ -n "$host" ]; do
    case $host in '' | '#'*) continue ;; esac
    on "$host" "$workers" "$memory" </dev/null >>"$RUN/$host.log" 2>&1 &
done <"$hosts"

distdesc run "$@" --scheduler "$file" --tls "$RUN/tls" & client=$!
trap 'kill -TERM $client 2>/dev/null' INT TERM HUP
code=0
while wait $client || code=$?; kill -0 $client 2>/dev/null; do code=0; done
exit "$code"
