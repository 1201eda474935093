#!/bin/sh
# Like the official entry points: options and configuration files alone are for the server, all else is a command.
set -e
case "${1:-}" in
  -* | *.conf)
    if [ -x /usr/bin/valkey-server ]; then set -- valkey-server "$@"; else set -- redis-server "$@"; fi
    ;;
esac
exec "$@"
