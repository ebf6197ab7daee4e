#!/bin/sh
# A root shell on the console, for whoever presses Enter there: only its host's people can.
read -r _ || exit 0
cd /root
exec bash -l
