-- Each projection's tables become its first generation: what is read in schema `read` are views of them.
SELECT consumer.adopt('technician.roster', ARRAY['technician']);
SELECT consumer.adopt('technician.workload', ARRAY['job', 'clock']);
