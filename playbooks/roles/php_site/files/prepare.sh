#!/bin/sh
# A check's errors are those of its own release.
: >/run/php-staged.log
