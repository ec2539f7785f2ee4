#!/bin/sh
# PHP keeps what it compiled of each release until its memory for that is full: let it forget. Requests are finished.
exec /usr/lib/edubba/services reload php
