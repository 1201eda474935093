"""Resources that every target needs: certificates and passwords."""
