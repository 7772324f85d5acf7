-- Each projection's tables become its first generation: what is read in schema `read` are views of them.
SELECT consumer.adopt('workshop.job-list', ARRAY['job', 'deferred_line', 'returned_line', 'clock']);
SELECT consumer.adopt('workshop.site-list', ARRAY['site']);
SELECT consumer.adopt('workshop.fleet', ARRAY['vehicle']);
SELECT consumer.adopt('workshop.roster', ARRAY['technician']);
