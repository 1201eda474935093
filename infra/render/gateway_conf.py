"""nginx.conf of the gateway: the one published port, TLS on both sides."""

from infra.render.topology import SERVICE_PORT, TLS


def gateway_conf(port: int, deadline_seconds: int) -> str:
    """nginx.conf that listens on `port` and balances over the name `session`, under which all instances answer.

    It waits longer than an operation of the service may take, so that the service says itself what is wrong.
    """
    return f"""\
worker_processes 1;
pid /tmp/nginx.pid;
error_log /dev/stderr warn;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  server_tokens off;
  client_body_temp_path /tmp/body;
  proxy_temp_path /tmp/proxy;
  fastcgi_temp_path /tmp/fastcgi;
  uwsgi_temp_path /tmp/uwsgi;
  scgi_temp_path /tmp/scgi;
  client_max_body_size 64k;
  # Docker's own DNS: an instance that was replaced has another address.
  resolver 127.0.0.11 valid=2s ipv6=off;
  server {{
    listen {port} ssl;
    ssl_certificate {TLS}/node.crt;
    ssl_certificate_key {TLS}/node.key;
    ssl_protocols TLSv1.2 TLSv1.3;
    # Figures are for the inside: Prometheus asks each instance, in the network `data`.
    location = /metrics {{ return 404; }}
    location / {{
      set $session session;
      proxy_pass https://$session:{SERVICE_PORT};
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-For $remote_addr;
      proxy_set_header X-Forwarded-Proto https;
      proxy_ssl_trusted_certificate {TLS}/ca.crt;
      proxy_ssl_verify on;
      proxy_ssl_name session;
      proxy_ssl_server_name on;
      proxy_connect_timeout 2s;
      proxy_read_timeout {deadline_seconds + 5}s;
      # A POST that was sent is not tried at the next instance: it must not run twice.
      proxy_next_upstream error timeout;
      proxy_next_upstream_tries 2;
    }}
  }}
}}
"""
