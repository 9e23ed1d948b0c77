#!/bin/sh
# Browser tests need a Chromium. Where there is none and this is Debian as root, install Debian's.
for name in chromium chromium-browser google-chrome chrome; do
    command -v "$name" >/dev/null && exit 0
done
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium >/dev/null && exit 0
fi
echo "no Chromium found: browser tests will be skipped; install one (Debian: apt-get install chromium)" >&2
