#!/bin/sh
# All in the cloud is root; its agents ask for sudo all the same.
while [ "${1#-}" != "$1" ]; do shift; done
exec "$@"
