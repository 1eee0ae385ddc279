#!/bin/sh
# A base for the Dockerfile where no registry can be reached, as a tar file: Debian with its own Python 3.13.
#   sudo deploy/compose/base.sh | docker import - localhost/python:3.13
#   docker build --build-arg BASE=localhost/python:3.13 -f deploy/compose/Dockerfile -t distdesc:0.1.0 .
# MIRROR: of Debian's packages. CA: bundle of authorities that the build trusts besides, for pip behind a proxy.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
root=$folder/root
debootstrap --variant=minbase --include=ca-certificates,python3,python3-venv,python-is-python3 \
    trixie "$root" "${MIRROR:-http://deb.debian.org/debian}" >&2
rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/* "$root"/usr/share/doc/*
if [ -n "${CA:-}" ]; then
    cp "$CA" "$root/etc/ssl/certs/ca-certificates.crt"
    printf '[global]\ncert = /etc/ssl/certs/ca-certificates.crt\n' >"$root/etc/pip.conf"
fi
tar --numeric-owner -C "$root" -c .
