"""The session service: the library over HTTP, for any language and for gateways."""
