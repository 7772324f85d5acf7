"""Jobs from request to closed, sites, bays, tenant settings."""
