#!/bin/sh
# A release is checked when it is prepared.
exec /usr/lib/edubba/prepare ask "$1"
