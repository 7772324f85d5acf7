-- Each projection's tables become its first generation: what is read in schema `read` are views of them.
SELECT consumer.adopt('vehicle.vehicle-list', ARRAY['vehicle']);
SELECT consumer.adopt('vehicle.service-history', ARRAY['job', 'visit']);
