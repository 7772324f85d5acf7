"""REST from the protos: routes and OpenAPI 3.1 out of google.api.http."""
