"""Pure functions from the wanted deployment to text. All targets render from here, so each fact has one place."""
