"""A Kubernetes cluster: 3 Redis, 3 Sentinels, the session service and the exporter in a namespace of their own."""
