#!/bin/sh
# Say no to a release whose page met a fatal error of PHP, even if a part of the page came; show what PHP said.
grep -s -A 20 -E 'PHP (Fatal|Parse|Core|Compile) error|PHP Fatal' /run/php-staged.log | head -c 3000
! grep -q -s -E 'PHP (Fatal|Parse|Core|Compile) error|PHP Fatal' /run/php-staged.log
